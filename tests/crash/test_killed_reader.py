"""`casebridge sync` is killed while it reads FS or polls for answers. The next one misses nothing and accepts nothing twice."""

import signal

import pytest

from tests.crash.test_killed_listener import READING
from tests.support.end_state import check_everything
from tests.support.processes import Crash, Processes
from tests.support.waiting import wait_until
from tests.support.world import World

LEASE_SECONDS = 1.0
WHILE_READING_FS = [Crash(point) for point in READING]
WHILE_POLLING_ANSWERS = [Crash("messages_written", after=1), Crash("keys_written", after=1)]
"""The number of passes: the first accepts requests, the second accepts answers."""


@pytest.mark.parametrize("crash", [*WHILE_READING_FS, *WHILE_POLLING_ANSWERS], ids=Crash.__str__)
def test_the_next_synchronisation_finishes_what_a_killed_one_began(
    crash: Crash, world: World, processes: Processes
) -> None:
    world.configure(queue={"lease_seconds": LEASE_SECONDS})
    world.populate(institutions=1, courses=1, requests=3)

    killed = processes.run("sync", crash=crash)
    assert killed.exit_code == -signal.SIGKILL, f"it never came to {crash}"
    synchronise_to_the_end(world, processes)

    check_everything(world, requests=3)


def test_a_request_that_was_finished_before_its_key_was_written_does_not_come_twice(
    world: World, processes: Processes
) -> None:
    """The reader dies between message and key. A listener finishes the message. The next reader finds the request again."""
    world.configure(queue={"lease_seconds": LEASE_SECONDS})
    world.populate(institutions=1, courses=1, requests=3)
    processes.run("sync", crash=Crash("messages_written"))
    assert world.database.received_keys.count_documents({}) == 0

    process = world.process()
    assert process.synchronisation.run_batch().by_status == {"processed": 3}
    assert world.database.messages.count_documents({}) == 0
    synchronise_to_the_end(world, processes)

    check_everything(world, requests=3)
    assert world.control.summary()["calls_by_route"]["wiseflow POST /flow/{flowId}/explanation/request"] == 3


def synchronise_to_the_end(world: World, processes: Processes) -> None:
    """Run `casebridge sync` like an operator: again, until there is nothing left to do."""

    def is_done_after_one_more() -> bool:
        processes.run("sync")
        return world.control.summary()["outstanding"] == 0 and world.database.messages.count_documents({}) == 0

    wait_until(is_done_after_one_more, "a synchronisation leaves nothing to do", seconds=30.0)
