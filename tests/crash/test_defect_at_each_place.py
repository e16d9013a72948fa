"""A defect (an exception that nobody foresaw) at each named place costs time and nothing else."""

import contextlib
import itertools
from datetime import timedelta

import pytest

from casebridge import crash_points
from casebridge.clock import ServerClock
from casebridge.crash_points import CRASH_POINTS, SimulatedCrashError
from resources.wiring.bridge import Bridge
from tests.crash.test_killed_listener import show_answers
from tests.support.end_state import check_everything
from tests.support.shifted_clock import ShiftedClock
from tests.support.world import World

ROUNDS = 6
FATAL = frozenset({"claimed"})
"""Where a defect ends the batch that it happens in: it could not go on without claiming. A listener claims again."""


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_defect_costs_nothing_but_time(point: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(institutions=2, courses=2, requests=4, variety=False)
    show_answers(world)
    clock = ShiftedClock(ServerClock(world.database.server_time))
    bridge = world.bridge(clock)
    monkeypatch.setattr(crash_points, "_armed", point)
    monkeypatch.setattr(crash_points, "_kind", "exception")
    passes = itertools.count()
    monkeypatch.setattr(crash_points, "_passes", passes)

    for _ in range(ROUNDS):
        with contextlib.suppress(SimulatedCrashError) if point in FATAL else contextlib.nullcontext():
            synchronise(world, bridge)
        clock.pass_time(world.settings.lease + timedelta(seconds=1))

    assert next(passes) > 0, "the defect was met"
    check_everything(world, requests=4)


def synchronise(world: World, bridge: Bridge) -> None:
    run = bridge.synchronisation
    run.read_requests(bridge.institutions.active())
    run.run_batch()
    world.control.wait("answered", world.control.summary()["dispatched"])
    run.poll_answers(bridge.institutions.active())
    run.run_batch()
