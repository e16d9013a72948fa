"""Rows: a full synchronisation of many requests over 60 institutions with 50 ms a call, one process: wall time and peak memory.

The bound is the time that the calls alone take: calls x 50 ms / allowed concurrency, which is `http.calls_per_process` here. It
counts the calls of polls and messages to FS and the exam system. Calls to the log index do not count: nothing waits for them.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from bench.context import BenchContext
from bench.processor_time import Shares
from bench.row import Goal, Pair, Row, row_of
from bench.simulation import Simulation
from simulators import process as simulators_process

PROGRAM: Final = "bench.carrier"
WHOLE: Final = 10_000
"""Requests of a full synchronisation. By default fewer are measured, so that all measurements take a quarter of an hour."""
INSTITUTIONS: Final = 60
REQUESTS_A_COURSE: Final = 10
SECONDS_A_CALL: Final = 0.05
SLOW_SYSTEMS: Final = ("fs", "wiseflow")
GOAL: Final = Goal("ratio", "<=", 1.2)


def measure(context: BenchContext) -> Iterator[Row]:
    requests, calls_at_once, server = context.sizes.sync_requests, context.sizes.sync_calls, context.server.name
    context.report_progress(f"full sync: {requests:,} requests, {calls_at_once} calls at once")
    with (
        simulators_process.running() as simulators,
        context.server.installation(http={"calls_per_process": calls_at_once}) as installation,
    ):
        simulation = Simulation(installation, simulators)
        simulation.populate(
            requests, institutions=INSTITUTIONS, courses=max(INSTITUTIONS, requests // REQUESTS_A_COURSE)
        )
        simulation.control.faults(
            *({"system": system, "kind": "latency", "seconds": SECONDS_A_CALL} for system in SLOW_SYSTEMS)
        )
        carried = installation.run(PROGRAM, record=False)
        simulation.check_all_registered(requests)
        calls = calls_of(simulation.control.summary()["calls_by_route"])
    name = f"full sync of {requests:,} requests"
    if requests < WHOLE:
        name += f" (SYNC={WHOLE}: whole)"
    concurrency = f"{calls:,} calls x 50 ms / {calls_at_once} at once"
    time = Pair(carried["seconds"], calls * SECONDS_A_CALL / calls_at_once)
    yield row_of(f"{name}: time", "s", [time], concurrency, str(Shares.from_json(carried["shares"])), server, GOAL)
    memory = Pair(carried["memory"], carried["memory_at_rest"])
    grown = f"{1000 * (memory.ours - carried['memory_at_rest']) / requests:.1f} kB a request above the process at rest"
    yield row_of(f"{name}: peak memory", "MB", [memory], "the same process at rest", grown, server)


def calls_of(calls_by_route: Mapping[str, int]) -> int:
    """The number of calls to the slow systems."""
    return sum(count for route, count in calls_by_route.items() if route.split()[0] in SLOW_SYSTEMS)
