"""The program that carries whole cases: one listener and the polls in one process, from what is in FS to what FS has at the end.

It reads FS once, waits until every request is sent, polls until every answer is registered, and tells what that cost. `record`
counts round trips and notes every call, which costs something itself, and after a line on standard input makes the same calls
again, bare.
"""

import resource
import sys
import threading
import time
from contextlib import ExitStack, closing
from typing import Any, Final

from pymongo import monitoring

from bench.call_log import CallLog
from bench.processor_time import ProcessorMeter
from bench.program import bridge_of_this_process, meter_of, order, running_listener, tell, wait_until
from casebridge.exams.explanations import answer_poller, request_reader
from casebridge.messaging.listener.listener import Listener
from casebridge.messaging.queue.message import MessageStatus
from casebridge.secrets import Secrets
from casebridge.settings import Settings
from resources.laas import LaasClient
from resources.wiring.bridge import Bridge
from resources.wiring.clients import InstitutionClients

ANSWERS_SECONDS: Final = 2.0
"""Time for the assessors' last answers before they are looked for again."""
KILOBYTES: Final = 1024


class RoundTrips(monitoring.CommandListener):
    """Counts the commands that this process sends to MongoDB. One command is one round trip."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name.startswith("sasl"):
            return  # the driver's, once a connection, on a server with users
        with self._lock:
            self.count += 1

    def succeeded(self, _event: monitoring.CommandSucceededEvent) -> None:
        """Counted when it was sent."""

    def failed(self, _event: monitoring.CommandFailedEvent) -> None:
        """Counted when it was sent."""


def carry_cases(bridge: Bridge, listener: Listener, cases: int) -> None:
    """Return when the last answer is registered, settled, told and moved out of the queue."""
    institutions = bridge.institutions.active()
    bridge.synchronisation.read_requests(institutions)
    _wait_for(listener, request_reader.QUEUE, cases)
    answers = 0
    while answers < cases:
        found = bridge.synchronisation.poll_answers(institutions).accepted
        answers += found
        _wait_for(listener, answer_poller.QUEUE, answers)
        if not found:
            time.sleep(ANSWERS_SECONDS)
    wait_until(lambda: bridge.database.messages.find_one({}, {"_id": 1}) is None)


def _wait_for(listener: Listener, queue: str, processed: int) -> None:
    wait_until(lambda: _processed(listener, queue) >= processed)


def _processed(listener: Listener, queue: str) -> int:
    outcomes = dict(listener.outcome_counts.outcomes)
    return sum(
        count
        for (of, _, status, _), count in outcomes.items()
        if of == queue and status == MessageStatus.PROCESSED.value
    )


def carry(asked: dict[str, Any], log: CallLog, round_trips: RoundTrips) -> dict[str, Any]:
    """What carrying came to: seconds, our processor seconds, shares, round trips and memory."""
    with bridge_of_this_process() as bridge, ExitStack() as recording:
        bridge.clock.now()  # connects
        log.know(bridge.clients, bridge.institutions.active())
        if asked["record"]:
            recording.enter_context(log.recording())
        at_rest, before = memory_megabytes(), round_trips.count
        with running_listener(bridge) as listener, meter_of(asked) as meter:
            carry_cases(bridge, listener, asked["cases"])
        round_trips_made = round_trips.count - before
        memory = {"memory_at_rest": at_rest, "memory": memory_megabytes()}
        return {**_figures(meter), **memory, "round_trips": round_trips_made}


def repeat(asked: dict[str, Any], log: CallLog) -> dict[str, Any]:
    """The same calls with new clients, in the world as it was before."""
    with bridge_of_this_process() as bridge:
        institutions = bridge.institutions.active()
    settings = Settings()
    with (
        closing(InstitutionClients(settings, Secrets())) as clients,
        closing(LaasClient(settings.laas, settings.http)) as laas,
    ):
        with meter_of(asked) as meter:
            log.repeat(clients, institutions, laas)
        return _figures(meter)


def _figures(meter: ProcessorMeter) -> dict[str, Any]:
    took = meter.took("casebridge")
    return {"seconds": meter.seconds, "processor_seconds": took, "cores": meter.shares().cores}


def memory_megabytes() -> float:
    """The highest resident size so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILOBYTES


def main() -> None:
    asked = order()
    log, round_trips = CallLog(), RoundTrips()
    if asked["record"]:
        monitoring.register(round_trips)
    tell(**carry(asked, log, round_trips))
    if asked["record"]:
        sys.stdin.readline()  # the world is being made anew
        tell(**repeat(asked, log), calls=len(log.calls))


if __name__ == "__main__":
    main()
