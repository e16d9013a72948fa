"""A listener is killed at each crash point, twice, during requests and answers. The next one finishes everything."""

import pytest

from casebridge.crash_points import CRASH_POINTS
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.processes import Crash, Processes
from tests.support.waiting import wait_until
from tests.support.world import World

LEASE_SECONDS = 1.0
ONE_WORKER = ("--workers", "1")
READING = ("cases_written", "messages_written", "keys_written", "watermark_written")
"""Crash points that only processes reach that read FS or WISEflow: see `test_killed_reader`."""
PASSES = {
    # the first listener dies while it registers an answer, the second while it dispatches a request
    "claimed": (0, 0),
    "step_begun": (1, 4),
    "effect_made": (1, 4),
    "step_recorded": (0, 0),
    "audit_written": (0, 0),
    "cases_settled": (0, 0),
    "settled": (0, 0),
    "message_removed": (0, 0),
    "effect_delivered": (0, 0),
}


def test_every_crash_point_is_tested() -> None:
    assert {*PASSES, *READING} == set(CRASH_POINTS)


@pytest.mark.parametrize("point", PASSES)
def test_the_next_listener_finishes_what_a_killed_one_began(point: str, world: World, processes: Processes) -> None:
    world.configure(queue={"lease_seconds": LEASE_SECONDS, "group_size": 1})
    queue_two_answers_and_two_requests(world)

    for after in PASSES[point]:
        processes.crashed_listener(Crash(point, after), *ONE_WORKER)
    processes.listener(*ONE_WORKER)

    carry_to_the_end(world)
    check_everything(world, requests=4)


def queue_two_answers_and_two_requests(world: World) -> None:
    """Two cases have an answer in the queue, and two have a request in it."""
    world.populate(institutions=1, courses=1, requests=4, hold=True, variety=False)
    show_answers(world)
    process = world.process()
    world.control.release(2)
    read_requests(process, process.stores.institutions.active())
    process.synchronisation.run_batch()
    world.control.wait("answered", 2)
    poll_answers(process, process.stores.institutions.active())
    world.control.release(2)
    read_requests(process, process.stores.institutions.active())
    assert world.database.messages.count_documents({}) == 4


def show_answers(world: World) -> None:
    """Let every institution show its answers, so that a step follows one that has done something outside."""
    world.database.orgs.update_many({}, {"$set": {"wiseflow.showJustification": True}})


def carry_to_the_end(world: World) -> None:
    """Poll for answers like a sensor until FS has everything and the queue is empty."""
    process = world.process()

    def everything_is_done() -> bool:
        poll_answers(process, process.stores.institutions.active())
        return world.control.summary()["outstanding"] == 0 and world.database.messages.count_documents({}) == 0

    wait_until(everything_is_done, "every request is registered and nothing is left in the queue", every=0.1)
