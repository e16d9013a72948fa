"""A Dagster run is killed, or meets a defect. The next run finishes everything.

A run does the work of a listener, which is killed at every crash point (`test_killed_listener`). Here a run crashes where it has
claimed something, where an effect is made, and where one of two writes is done.
"""

import shutil
from pathlib import Path

import pytest

from tests.crash.test_killed_listener import show_answers
from tests.support.dagster_run import DagsterRuns
from tests.support.end_state import check_everything
from tests.support.processes import Crash
from tests.support.waiting import wait_until
from tests.support.world import World

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 1.0
REQUESTS = 3
WHILE_REGISTERING = Crash("effect_made", after=3 * REQUESTS + 4)
"""Number of passes: after the three steps of each request, so that an answer is being registered."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One Dagster home for all runs here, because making its databases takes a second."""
    folder = tmp_path_factory.mktemp("dagster-home")
    shutil.copy(ROOT / "dagster.yaml", folder)
    return folder


PLACES = ("cases_written", "keys_written", "claimed", "effect_made", "cases_settled", "settled", "effect_delivered")
DEFECTS = ("claimed", "settled")
"""Where a run meets a defect: before and after the work. `test_defective_listener` tests each crash point."""


@pytest.mark.parametrize(
    "crash",
    [
        *(Crash(point, kind="kill") for point in PLACES),
        *(Crash(point, kind="exception") for point in DEFECTS),
        WHILE_REGISTERING,
    ],
    ids=Crash.__str__,
)
def test_the_next_run_finishes_what_a_crashed_one_began(crash: Crash, home: Path, world: World) -> None:
    world.configure(queue={"lease_seconds": LEASE_SECONDS})
    world.populate(institutions=1, courses=1, requests=REQUESTS, variety=False)
    show_answers(world)
    runs = DagsterRuns(world, home)

    runs.crashed("sync_now", crash)

    def is_done_after_one_more() -> bool:
        assert runs.run("sync_now") == 0, runs.log.read_text()[-3000:]
        return world.control.summary()["outstanding"] == 0 and world.database.messages.count_documents({}) == 0

    wait_until(is_done_after_one_more, "a run leaves nothing to do", seconds=60.0)
    check_everything(world, REQUESTS)
