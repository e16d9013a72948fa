"""Rows: cases from FS request to FS answer through all real steps, simulators answering at once, one listener.

Beside it the bare HTTP calls: those that such a run made, made again by the same clients in the same order in the same world, one
after the other, without queue, audit and database. Calls and round trips are counted in a run of their own: counting costs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bench.context import BenchContext
from bench.processor_time import Shares
from bench.row import Goal, Pair, Row, row_of
from bench.simulated_world import SimulatedWorld
from simulators import process as simulators_process

PROGRAM: Final = "bench.carrier"
BARE: Final = "the bare HTTP calls: same clients, same calls, one after the other"


@dataclass(frozen=True)
class Run:
    """What carrying the cases came to, and what the bare calls did."""

    cases: int
    carried: dict[str, Any]
    counted: dict[str, Any]
    bare: dict[str, Any]

    def rates(self) -> Pair:
        return Pair(self.cases / self.carried["seconds"], self.cases / self.bare["seconds"])

    def processor(self) -> Pair:
        """Milliseconds of our own process a case."""
        return Pair(*(1000 * part["processor_seconds"] / self.cases for part in (self.carried, self.bare)))

    def round_trips(self) -> Pair:
        """A case, beside the HTTP calls of a case."""
        return Pair(self.counted["round_trips"] / self.cases, self.bare["calls"] / self.cases)


def measure(context: BenchContext) -> Iterator[Row]:
    cases, runs = context.sizes.cases, []
    for turn in range(context.sizes.rounds):
        context.say(f"whole cases, round {turn + 1} of {context.sizes.rounds}")
        runs.append(run_once(context, cases))
    rates = [run.rates() for run in runs]
    bound_by, server = str(Shares.median([Shares(run.carried["cores"]) for run in runs])), context.server.name
    rate = row_of("whole cases: rate", "cases/s", rates, BARE, bound_by, server)
    context.whole_cases_a_second = rate.ours
    yield rate
    processor = [run.processor() for run in runs]
    goal = Goal("ratio", "<=", 1.5)
    yield row_of("whole cases: our processor time", "ms/case", processor, BARE, bound_by, server, goal)
    trips = [run.round_trips() for run in runs]
    yield row_of("whole cases: MongoDB round trips", "1/case", trips, "HTTP calls a case", bound_by, server)


def run_once(context: BenchContext, cases: int) -> Run:
    """Carry the cases, carry them again counting, then make the same calls; each in the same world made anew."""
    with simulators_process.running() as simulators, context.server.installation() as installation:
        world = SimulatedWorld(installation, simulators)
        world.populate(cases)
        carried = installation.run(PROGRAM, cases=cases, record=False)
        world.check_all_registered(cases)
    with simulators_process.running() as simulators, context.server.installation() as installation:
        world = SimulatedWorld(installation, simulators)
        world.populate(cases)
        with installation.conversation(PROGRAM, cases=cases, record=True) as program:
            counted = program.hear()
            world.check_all_registered(cases)
            world.populate(cases)
            program.go_on()
            bare = program.hear()
            world.check_all_registered(cases)
    return Run(cases, carried, counted, bare)
