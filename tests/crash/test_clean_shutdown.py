"""A listener that is asked to end finishes what it began, releases the rest at no cost, and ends in bounded time."""

import signal
import time

import pytest

from casebridge.messaging.queue.message import MessageStatus
from tests.crash.test_killed_listener import carry_to_the_end
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import read_requests
from tests.support.processes import Processes
from tests.support.waiting import wait_until
from tests.support.world import World

REQUESTS = 40
SECONDS_TO_END = 30.0


def populate_slowly(world: World, latency: float, requests: int) -> None:
    """Populate with more work than there are workers, and with slow calls."""
    world.populate(institutions=2, courses=4, requests=requests, variety=False)
    process = world.process()
    read_requests(process, process.stores.institutions.active())
    world.control.faults({"system": "wiseflow", "kind": "latency", "seconds": latency})


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_no_message_stays_claimed_and_no_attempt_is_lost(
    asked: signal.Signals, world: World, processes: Processes
) -> None:
    world.configure(queue={"lease_seconds": 60.0, "workers": 4})
    populate_slowly(world, latency=0.2, requests=REQUESTS)
    listener = processes.listener()
    world.control.wait("dispatched", 4)
    assert world.database.messages.count_documents({"status": MessageStatus.PROCESSING.value}) > 4

    began = time.monotonic()
    assert listener.stop(asked, seconds=SECONDS_TO_END) == 0
    assert time.monotonic() - began < SECONDS_TO_END

    assert "Stopped: nothing is held." in listener.log.read_text()
    left = list(world.database.messages.find())
    assert 0 < len(left) < REQUESTS
    for message in left:
        assert (message["status"], message["attempts"]) == (MessageStatus.ENQUEUED, 0)
        assert message["steps"] == {}, "what was begun was finished"
        assert "owner" not in message
    assert world.database.listeners.count_documents({}) == 0
    world.control.clear_faults()
    processes.listener()
    carry_to_the_end(world)
    check_everything(world, REQUESTS)


def test_an_idle_listener_ends_at_once(world: World, processes: Processes) -> None:
    world.populate(institutions=1, courses=1, requests=0)
    listener = processes.listener()
    wait_until(lambda: world.database.listeners.count_documents({}), "the listener says that it is there")

    assert listener.stop(seconds=SECONDS_TO_END) == 0

    assert world.database.listeners.count_documents({}) == 0


def test_the_exit_does_not_wait_for_a_slow_call(world: World, processes: Processes) -> None:
    """The exit does not wait longer than it must for a slow call. The next listener takes the message over."""
    world.configure(queue={"lease_seconds": 1.0, "workers": 2, "shutdown_seconds": 0.2})
    populate_slowly(world, latency=2.0, requests=6)
    listener = processes.listener()
    world.control.wait("calls", 2, system="wiseflow")

    assert listener.stop(seconds=SECONDS_TO_END) == 0

    assert "left to their leases at shutdown" in listener.log.read_text()
    assert world.database.messages.count_documents({"status": MessageStatus.PROCESSING.value}) <= 2
    world.control.clear_faults()
    processes.listener()
    carry_to_the_end(world)
    check_everything(world, requests=6)
