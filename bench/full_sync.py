"""Rows: a full synchronisation of many requests over 60 institutions with 50 ms a call, one process: wall time and peak memory.

The bound is what the calls must take however quick we are: calls by 50 ms by the allowed concurrency. Messages call as many at
once as there are workers, the polls as many as they have threads. Calls of FS and of the exam system count; the log index is not
waited for.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from bench.ground import Ground
from bench.processor_time import Shares
from bench.row import Goal, Pair, Row, row_of
from bench.simulated_world import SimulatedWorld
from casebridge.exams import answer_poller, polling, request_reader
from simulators import process as simulators_process

PROGRAM: Final = "bench.carrier"
WHOLE: Final = 10_000
"""Requests of a full synchronisation. Fewer are measured by default, so that all rows fit into a quarter of an hour."""
INSTITUTIONS: Final = 60
REQUESTS_A_COURSE: Final = 10
SECONDS_A_CALL: Final = 0.05
SLOW_SYSTEMS: Final = ("fs", "wiseflow")
LIST_OF_A_FLOW: Final = "wiseflow GET /flow/{flowId}/explanation/request"
READS_OF_FS: Final = "fs GET "
READING: Final = polling.INSTITUTIONS_AT_ONCE * request_reader.EXAMS_AT_ONCE
LOOKING: Final = polling.INSTITUTIONS_AT_ONCE * answer_poller.FLOWS_AT_ONCE
GOAL: Final = Goal("ratio", "<=", 1.2)


def measure(ground: Ground) -> Iterator[Row]:
    requests, workers, server = ground.sizes.sync_requests, ground.sizes.sync_workers, ground.server.name
    ground.say(f"full sync: {requests:,} requests, {workers} workers")
    with (
        simulators_process.running() as simulators,
        ground.server.installation(queue={"workers": workers}) as installation,
    ):
        world = SimulatedWorld(installation, simulators)
        world.populate(requests, institutions=INSTITUTIONS, courses=max(INSTITUTIONS, requests // REQUESTS_A_COURSE))
        world.control.faults(
            *({"system": system, "kind": "latency", "seconds": SECONDS_A_CALL} for system in SLOW_SYSTEMS)
        )
        carried = installation.run(PROGRAM, cases=requests, record=False)
        world.check_all_registered(requests)
        bound, calls = bound_seconds(world.control.summary()["calls_by_route"], workers)
    name = f"full sync of {requests:,} requests"
    if requests < WHOLE:
        name += f" (SYNC={WHOLE}: whole)"
    concurrency = f"{calls:,} calls x 50 ms / {workers} workers, {READING} and {LOOKING} threads of the polls"
    time = Pair(carried["seconds"], bound)
    yield row_of(f"{name}: time", "s", [time], concurrency, str(Shares(carried["cores"])), server, GOAL)
    memory = Pair(carried["memory"], carried["memory_at_rest"])
    grown = f"{1000 * (memory.ours - carried['memory_at_rest']) / requests:.1f} kB a request above the process at rest"
    yield row_of(f"{name}: peak memory", "MB", [memory], "the same process at rest", grown, server)


def bound_seconds(calls_by_route: Mapping[str, int], workers: int) -> tuple[float, int]:
    """What the calls must take, and how many they are.

    A poll lists a flow's requests and reads its comments once; every other call of the exam system is a message's.
    """
    calls = sum(count for route, count in calls_by_route.items() if route.split()[0] in SLOW_SYSTEMS)
    reads = sum(count for route, count in calls_by_route.items() if route.startswith(READS_OF_FS))
    looks = 2 * calls_by_route.get(LIST_OF_A_FLOW, 0)
    of_messages = calls - reads - looks
    return SECONDS_A_CALL * (of_messages / workers + reads / READING + looks / LOOKING), calls
