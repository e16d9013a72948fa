"""Rows: from an accepted event to the registration of the answer in FS. The simulators answer at once.

The event is an answer in the exam system. One process accepts its message, and the listener in another process registers it.

- idle: each event comes alone
- at half the maximal rate: answers and requests come in pairs, at half the rate of the whole cases of one listener
- through a Dagster run: there is no listener; a sensor accepts the answer and starts a run

The peer is the bare calls: the same answer is fetched and registered once more. This changes nothing in FS.
"""

import math
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench import whole_cases
from bench.context import BenchContext
from bench.installation import Installation
from bench.listening import CommandTimesFile
from bench.prepared_events import Answer, BareCalls, Event, PreparedEvents
from bench.processor_time import RUNS_AND_OTHERS, ProcessorMeter
from bench.row import Goal, Pair, Row, row_of
from bench.simulation import Simulation
from casebridge.exams.explanations import answer_poller
from casebridge.messaging.queue.message import NewMessage
from local_servers.child_process import Children
from local_servers.dagster import DagsterServers
from resources.wiring.process import Process
from simulators import process as simulators_process

ROOT: Final = Path(__file__).parents[1]
PERCENTILES: Final = (50, 95, 99)
GOALS: Final = {("idle", 95): Goal("ours", "<=", 250.0)}
LISTENING: Final = "Listening with"
TIMED: Final = "bench.listening"
COMMAND: Final = str(Path(sys.executable).with_name("casebridge"))
SENSOR_SECONDS: Final = "1"
END_SECONDS: Final = 120.0
CHECK_EVERY_SECONDS: Final = 0.05
BARE: Final = "the bare HTTP calls of the step"


def measure(context: BenchContext) -> Iterator[Row]:
    yield from _by_a_listener(context)
    yield from _by_dagster(context)


def _rows(state: str, ours: Sequence[float], bare: Sequence[float], bound_by: str, server: str) -> Iterator[Row]:
    for percent in PERCENTILES:
        pair = Pair(1000 * _percentile(ours, percent), 1000 * _percentile(bare, percent))
        goal = GOALS.get((state, percent))
        yield row_of(f"latency {state}: p{percent}", "ms", [pair], BARE, bound_by, server, goal, runs=len(ours))


def _percentile(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


@contextmanager
def _simulation(context: BenchContext) -> Iterator[Simulation]:
    with simulators_process.running() as simulators, context.server.installation() as installation:
        yield Simulation(installation, simulators)


# By a listener


def _by_a_listener(context: BenchContext) -> Iterator[Row]:
    if context.whole_cases_a_second is None:
        context.report_progress("latency: measuring the rate of whole cases first")
        context.whole_cases_a_second = whole_cases.run_once(context, context.sizes.cases).rates().ours
    sizes, server, pace = context.sizes, context.server.name, context.whole_cases_a_second / 2
    prepared = sizes.idle_events + sizes.loaded_events
    with _simulation(context) as simulation:
        simulation.populate(prepared)
        installation = simulation.installation
        with installation.process() as process:
            events = PreparedEvents(simulation.control, process)
            context.report_progress(f"latency: preparing {prepared} answers")
            answers = events.answers(prepared)
            requests = events.requests(sizes.loaded_events)
            idle, loaded = answers[: sizes.idle_events], answers[sizes.idle_events :]
            with _listener(installation) as commands:
                context.report_progress(f"latency: {len(idle)} events, one by one")
                with _meter(installation, commands) as meter:
                    alone, bare = _one_by_one(events, process, idle)
                yield from _rows("idle", alone, bare, str(meter.shares()), server)
                context.report_progress(f"latency: {len(loaded)} events, {pace:.1f} a second")
                with _meter(installation, commands) as meter:
                    loaded_seconds = _at_a_pace(events, process, loaded, requests, pace)
            yield from _rows("at half the maximal rate", loaded_seconds, bare, str(meter.shares()), server)


@contextmanager
def _listener(installation: Installation) -> Iterator[CommandTimesFile | None]:
    """Run `casebridge listen`, as an operator starts it. For a database server by address, its commands are timed."""
    file = installation.children.folder / f"command-times-{uuid.uuid4().hex[:8]}.json"
    by_address = installation.ping_seconds is not None
    command = (sys.executable, "-m", TIMED, str(file)) if by_address else (COMMAND, "listen")
    listener = installation.start("listener", *command, ready=LISTENING)
    installation.servers["casebridge"] = listener.pid
    try:
        yield CommandTimesFile(file) if by_address else None
    finally:
        listener.stop()


def _meter(installation: Installation, commands: CommandTimesFile | None) -> ProcessorMeter:
    return ProcessorMeter(installation.servers, ping_seconds=installation.ping_seconds, commands=commands)


def _one_by_one(events: PreparedEvents, process: Process, answers: Sequence[Event]) -> tuple[list[float], list[float]]:
    """Accept the events one at a time. Return the seconds of each event, and of its bare calls afterwards."""
    accepted_at, bare = {}, []
    calls = BareCalls(process)
    registered = events.control.summary()["registered"]
    for number, event in enumerate(answers, start=1):
        accepted_at[event.answer.place] = time.time()
        process.stores.queue.accept([event.message])
        events.control.wait("registered", registered + number, timeout_s=END_SECONDS)
        _wait_until_nothing_waits(process)
        bare.append(calls.repeat(event.answer))
    registered_at = events.registered_at()
    return [registered_at[place] - moment for place, moment in accepted_at.items()], bare


def _at_a_pace(
    events: PreparedEvents, process: Process, answers: Sequence[Event], requests: Sequence[NewMessage], pace: float
) -> list[float]:
    """Accept an answer and a request `pace` times a second, even if earlier ones are not done. Return seconds of each answer."""
    accepted_at = {}
    began = time.time()
    for number, (event, request) in enumerate(zip(answers, requests, strict=True)):
        time.sleep(max(0.0, began + number / pace - time.time()))
        accepted_at[event.answer.place] = time.time()
        process.stores.queue.accept([event.message, request])
    _wait_until_nothing_waits(process)
    registered_at = events.registered_at()
    return [registered_at[place] - moment for place, moment in accepted_at.items()]


def _wait_until_nothing_waits(process: Process) -> None:
    _wait_until(lambda: process.stores.database.messages.find_one({}, {"_id": 1}) is None, "the queue is empty")


def _wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + END_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {END_SECONDS:.0f} s still not: {what}")
        time.sleep(CHECK_EVERY_SECONDS)


# Through Dagster


def _by_dagster(context: BenchContext) -> Iterator[Row]:
    wanted = context.sizes.dagster_events
    with _simulation(context) as simulation, Children("casebridge-bench-dagster") as children:
        simulation.populate(0, institutions=1)
        installation = simulation.installation
        context.report_progress("latency: starting Dagster")
        environment = {**installation.environment, "CASEBRIDGE_SENSOR_SECONDS": SENSOR_SECONDS}
        dagster = DagsterServers(
            children, ROOT / "dagster.yaml", "orchestration.definitions", "casebridge", environment
        )
        dagster.wait_until_ready()
        installation.servers |= {child.name: child.pid for child in dagster.processes}
        context.report_progress(f"latency: {wanted} events through Dagster")
        with (
            installation.process() as process,
            ProcessorMeter(installation.servers, RUNS_AND_OTHERS, installation.ping_seconds) as meter,
        ):
            ours, bare = _through_runs(PreparedEvents(simulation.control, process), process, wanted)
    yield from _rows("through a Dagster run", ours, bare, str(meter.shares()), context.server.name)


def _through_runs(events: PreparedEvents, process: Process, wanted: int) -> tuple[list[float], list[float]]:
    """Requests appear in FS one after the other. The sensors and runs of Dagster do everything else."""
    (institution,) = process.stores.institutions.active()
    # The time of acceptance is from the clock of the database. The simulators use the clock of this host.
    ahead = process.stores.clock.now().timestamp() - time.time()
    for number in range(1, wanted + 1):
        events.control.add_request(institution.org_id)
        events.control.wait("registered", number, timeout_s=END_SECONDS)
    _wait_until_nothing_waits(process)
    registered_at, calls = events.registered_at(), BareCalls(process)
    ours, bare = [], []
    for document in process.stores.database.processed_messages.find({"queue": answer_poller.QUEUE}):
        answer = Answer.from_payload(document["payload"], document["institution"])
        accepted_at: datetime = document["enqueuedAt"]
        ours.append(registered_at[answer.place] - accepted_at.astimezone(UTC).timestamp() + ahead)
        bare.append(calls.repeat(answer))
    return ours, bare
