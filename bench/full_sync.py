"""Rows: a full synchronisation of many requests over 60 institutions with 50 ms a call, one process: wall time and peak memory.

The bound is what the calls must take however quick we are: calls by 50 ms by the allowed concurrency, which is
`http.calls_per_process` here. Calls of FS and of the exam system count, of polls and messages alike; the log index is not
waited for.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from bench.context import BenchContext
from bench.processor_time import Shares
from bench.row import Goal, Pair, Row, row_of
from bench.simulated_world import SimulatedWorld
from simulators import process as simulators_process

PROGRAM: Final = "bench.carrier"
WHOLE: Final = 10_000
"""Requests of a full synchronisation. Fewer are measured by default, so that all rows fit into a quarter of an hour."""
INSTITUTIONS: Final = 60
REQUESTS_A_COURSE: Final = 10
SECONDS_A_CALL: Final = 0.05
SLOW_SYSTEMS: Final = ("fs", "wiseflow")
GOAL: Final = Goal("ratio", "<=", 1.2)


def measure(context: BenchContext) -> Iterator[Row]:
    requests, calls_at_once, server = context.sizes.sync_requests, context.sizes.sync_calls, context.server.name
    context.say(f"full sync: {requests:,} requests, {calls_at_once} calls at once")
    with (
        simulators_process.running() as simulators,
        context.server.installation(http={"calls_per_process": calls_at_once}) as installation,
    ):
        world = SimulatedWorld(installation, simulators)
        world.populate(requests, institutions=INSTITUTIONS, courses=max(INSTITUTIONS, requests // REQUESTS_A_COURSE))
        world.control.faults(
            *({"system": system, "kind": "latency", "seconds": SECONDS_A_CALL} for system in SLOW_SYSTEMS)
        )
        carried = installation.run(PROGRAM, cases=requests, record=False)
        world.check_all_registered(requests)
        calls = calls_of(world.control.summary()["calls_by_route"])
    name = f"full sync of {requests:,} requests"
    if requests < WHOLE:
        name += f" (SYNC={WHOLE}: whole)"
    concurrency = f"{calls:,} calls x 50 ms / {calls_at_once} at once"
    time = Pair(carried["seconds"], calls * SECONDS_A_CALL / calls_at_once)
    yield row_of(f"{name}: time", "s", [time], concurrency, str(Shares(carried["cores"])), server, GOAL)
    memory = Pair(carried["memory"], carried["memory_at_rest"])
    grown = f"{1000 * (memory.ours - carried['memory_at_rest']) / requests:.1f} kB a request above the process at rest"
    yield row_of(f"{name}: peak memory", "MB", [memory], "the same process at rest", grown, server)


def calls_of(calls_by_route: Mapping[str, int]) -> int:
    """How many calls the slow systems have had."""
    return sum(count for route, count in calls_by_route.items() if route.split()[0] in SLOW_SYSTEMS)
