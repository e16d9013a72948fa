"""A defect (an unexpected exception) at each crash point of a real listener: the listener goes on, or the next one does."""

import pytest

from casebridge.crash_points import CRASH_POINTS
from tests.crash.test_killed_listener import (
    LEASE_SECONDS,
    ONE_WORKER,
    PASSES,
    READING,
    carry_to_the_end,
    queue_two_answers_and_two_requests,
)
from tests.support.end_state import check_everything
from tests.support.processes import Crash, Processes
from tests.support.waiting import wait_until
from tests.support.world import World


@pytest.mark.parametrize("point", [point for point in CRASH_POINTS if point not in READING])
def test_a_defect_costs_a_listener_nothing_but_time(point: str, world: World, processes: Processes) -> None:
    world.configure(queue={"lease_seconds": LEASE_SECONDS, "group_size": 1})
    queue_two_answers_and_two_requests(world)

    first, *_ = PASSES[point]
    listener = processes.listener(*ONE_WORKER, crash=Crash(point, first, "exception"))
    wait_until(lambda: "SimulatedCrashError" in listener.log.read_text(), f"it comes to {point}")
    carry_to_the_end(world)
    check_everything(world, requests=4)
