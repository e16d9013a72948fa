"""A defect (an unexpected exception) at each crash point costs time and nothing else."""

import contextlib
import itertools
from datetime import timedelta

import pytest

from casebridge import crash_points
from casebridge.clock import ServerClock
from casebridge.crash_points import CRASH_POINTS, SimulatedCrashError
from resources.wiring.process import Process
from tests.crash.test_killed_listener import show_answers
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.shifted_clock import ShiftedClock
from tests.support.world import World

ROUNDS = 6
FATAL = frozenset({"claimed"})
"""Crash points at which a defect ends the batch, because it cannot go on without claiming. A listener claims again."""


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_defect_costs_nothing_but_time(point: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(institutions=2, courses=2, requests=4, variety=False)
    show_answers(world)
    clock = ShiftedClock(ServerClock(world.database.server_time))
    process = world.process(clock)
    monkeypatch.setattr(crash_points, "_armed", point)
    monkeypatch.setattr(crash_points, "_kind", "exception")
    passes = itertools.count()
    monkeypatch.setattr(crash_points, "_passes", passes)

    for _ in range(ROUNDS):
        with contextlib.suppress(SimulatedCrashError) if point in FATAL else contextlib.nullcontext():
            synchronise(world, process)
        clock.pass_time(world.settings.lease + timedelta(seconds=1))

    assert next(passes) > 0, "the defect was met"
    check_everything(world, requests=4)


def synchronise(world: World, process: Process) -> None:
    run = process.synchronisation
    read_requests(process, process.stores.institutions.active())
    run.run_batch()
    world.control.wait("answered", world.control.summary()["dispatched"])
    poll_answers(process, process.stores.institutions.active())
    run.run_batch()
