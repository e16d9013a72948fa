"""The program that carries whole cases, from the request in FS to the answer in FS: a listener and the polls in one process.

It reads FS once, waits until every request is sent, polls until every answer is registered, and reports what that cost.

An order may ask for more. That takes time itself, so it is measured in a run of its own:

- `record`: count round trips and record every HTTP call. After a line on standard input, make the same HTTP calls again alone.
- `copy`: record every write, and repeat the writes in the databases with these names (`bench.write_replay`).
"""

import resource
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Any, Final

from pymongo import monitoring

from bench.call_log import CallLog
from bench.command_log import CommandLog
from bench.processor_time import ProcessorMeter
from bench.program import (
    meter_of,
    open_database,
    process_from_environment,
    read_order,
    report,
    running_listener,
    wait_until,
    wait_until_empty,
)
from bench.write_replay import WriteRecording
from casebridge.database import Database
from casebridge.exams.explanations import answer_poller, request_reader
from casebridge.institutions.institution import Institution
from casebridge.messaging.listener.listener import Listener
from casebridge.messaging.queue.message import MessageStatus
from casebridge.secrets import Secrets
from casebridge.settings import Settings
from resources.laas import LaasClient
from resources.wiring.clients import InstitutionClients
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process

ANSWERS_SECONDS: Final = 2.0
"""How long a poll without new answers waits for the assessors before the next poll."""
KILOBYTES: Final = 1024


def carry_cases(process: Process, listener: Listener, database: Database, institutions: Sequence[Institution]) -> int:
    """Carry all cases that these institutions have, and say how many these were.

    Returns when the last answer is registered, settled, delivered to LaaS and moved out of the queue.
    """
    sent, registered = (_processed(listener, queue) for queue in (request_reader.QUEUE, answer_poller.QUEUE))
    cases = process.synchronisation.poll(process.capability(Explanations).requests, institutions).accepted
    _wait_for(listener, request_reader.QUEUE, sent + cases)
    answers = 0
    while answers < cases:
        found = process.synchronisation.poll(process.capability(Explanations).answers, institutions).accepted
        answers += found
        _wait_for(listener, answer_poller.QUEUE, registered + answers)
        if not found:
            time.sleep(ANSWERS_SECONDS)
    wait_until_empty(database)
    return cases


def _wait_for(listener: Listener, queue: str, processed: int) -> None:
    wait_until(lambda: _processed(listener, queue) >= processed)


def _processed(listener: Listener, queue: str) -> int:
    outcomes = dict(listener.outcome_counts.outcomes)
    return sum(
        count
        for (of, _, status, _), count in outcomes.items()
        if of == queue and status == MessageStatus.PROCESSED.value
    )


def carry(order: dict[str, Any], calls: CallLog, database: Database) -> dict[str, Any]:
    """Carry the cases and return what they cost: seconds, our processor seconds, shares, round trips and memory.

    `database` is a connection of the benchmark's own.
    """
    meter = meter_of(order)
    commands = CommandLog(keep_writes="copy" in order)
    if order["record"] or "copy" in order:
        monitoring.register(commands)
    with process_from_environment() as process, ExitStack() as recording:
        process.stores.clock.now()  # connects
        calls.remember_owners(process.clients, process.stores.institutions.active())
        if order["record"]:
            recording.enter_context(calls.recording())
        at_rest = memory_megabytes()
        with (
            WriteRecording(commands, database, order.get("copy")) as recorded,
            running_listener(process) as listener,
            meter,
        ):
            carry_cases(process, listener, database, process.stores.institutions.active())
        memory = {"memory_at_rest": at_rest, "memory": memory_megabytes()}
        return {**_figures(meter), **memory, "written": recorded.counts.as_json()}


def repeat(order: dict[str, Any], log: CallLog) -> dict[str, Any]:
    """Repeat the recorded calls with new clients, to simulators with new data. Return what they cost."""
    with process_from_environment() as process:
        institutions = process.stores.institutions.active()
    settings = Settings()
    with (
        closing(InstitutionClients(settings, Secrets())) as clients,
        closing(LaasClient(settings.laas, settings.http)) as laas,
    ):
        with meter_of(order) as meter:
            log.repeat(clients, institutions, laas)
        return _figures(meter)


def _figures(meter: ProcessorMeter) -> dict[str, Any]:
    return {
        "seconds": meter.seconds,
        "processor_seconds": meter.took("casebridge"),
        "shares": meter.shares().as_json(),
    }


def memory_megabytes() -> float:
    """The highest resident size so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILOBYTES


def main() -> None:
    order, calls = read_order(), CallLog()
    with open_database() as database:
        report(**carry(order, calls, database))
    if order["record"]:
        sys.stdin.readline()  # waits until the simulators have new data
        report(**repeat(order, calls), calls=len(calls.calls))


if __name__ == "__main__":
    main()
