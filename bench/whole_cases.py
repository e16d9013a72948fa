"""Rows: cases from FS request to FS answer through all real steps, simulators answering at once, one listener.

The peer is the bare HTTP calls of such a run. The same clients make them again in the same order, one at a time, with the same
data in the simulators, and without queue, audit and database. Calls and round trips are counted in a run of their own, because
counting costs processor time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bench.context import BenchContext
from bench.processor_time import Shares
from bench.row import Goal, Pair, Row, row_of
from bench.simulation import Simulation
from simulators import process as simulators_process

PROGRAM: Final = "bench.carrier"
BARE: Final = "the bare HTTP calls: same clients, same calls, one after the other"


@dataclass(frozen=True)
class Run:
    """The figures of the measured run, of the run that counted, and of the bare calls."""

    cases: int
    carried: dict[str, Any]
    counted: dict[str, Any]
    bare: dict[str, Any]

    def rates(self) -> Pair:
        return Pair(self.cases / self.carried["seconds"], self.cases / self.bare["seconds"])

    def processor(self) -> Pair:
        """Milliseconds of processor time for each case: of our own process, and of the bare calls."""
        return Pair(*(1000 * part["processor_seconds"] / self.cases for part in (self.carried, self.bare)))

    def round_trips(self) -> Pair:
        """MongoDB round trips for each case, compared with the HTTP calls for each case."""
        return Pair(sum(self.counted["written"]["commands"].values()) / self.cases, self.bare["calls"] / self.cases)


def measure(context: BenchContext) -> Iterator[Row]:
    cases, runs = context.sizes.cases, []
    for turn in range(context.sizes.rounds):
        context.report_progress(f"whole cases, round {turn + 1} of {context.sizes.rounds}")
        runs.append(run_once(context, cases))
    rates = [run.rates() for run in runs]
    bound_by, server = (
        str(Shares.median([Shares.from_json(run.carried["shares"]) for run in runs])),
        context.server.name,
    )
    rate = row_of("whole cases: rate", "cases/s", rates, BARE, bound_by, server)
    context.whole_cases_a_second = rate.ours
    yield rate
    processor = [run.processor() for run in runs]
    goal = Goal("ratio", "<=", 1.5)
    yield row_of("whole cases: our processor time", "ms/case", processor, BARE, bound_by, server, goal)
    trips = [run.round_trips() for run in runs]
    yield row_of("whole cases: MongoDB round trips", "1/case", trips, "HTTP calls a case", bound_by, server)


def run_once(context: BenchContext, cases: int) -> Run:
    """Carry the cases, carry them again and count, then repeat the calls. The simulators get new data each time."""
    with simulators_process.running() as simulators, context.server.installation() as installation:
        simulation = Simulation(installation, simulators)
        simulation.populate(cases)
        carried = installation.run(PROGRAM, record=False)
        simulation.check_all_registered(cases)
    with simulators_process.running() as simulators, context.server.installation() as installation:
        simulation = Simulation(installation, simulators)
        simulation.populate(cases)
        with installation.conversation(PROGRAM, record=True) as program:
            counted = program.read()
            simulation.check_all_registered(cases)
            simulation.populate(cases)
            program.go_on()
            bare = program.read()
            simulation.check_all_registered(cases)
    return Run(cases, carried, counted, bare)
