"""Processes join, call, freeze, die, leave and overtake each other. Together they never use more than a vendor's rate.

The share store is the real one on a real server; only the clock is the test's. Hypothesis searches for a sequence in which the
shares in force, or the calls within any second, exceed what the vendor allows.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from pymongo.errors import AutoReconnect

from casebridge.database import Database
from casebridge.rates.division import WHOLE
from tests.support.manual_clock import ManualSeconds
from tests.support.rate_processes import RateProcess

LIMIT = 12
RATES = [(LIMIT, 1.0)]
PROCESSES = 3
places = st.integers(0, PROCESSES - 1)
seconds = st.sampled_from([0.1, 0.3, 0.6, 1.0, 1.7, 3.0, 6.6])


def lose_the_answer() -> None:
    raise AutoReconnect("the answer was lost")


class RateSharesMachine(RuleBasedStateMachine):
    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.database.rate_shares.delete_many({})
        self.time = ManualSeconds()
        self.passed: list[float] = []
        self.processes = [self.new_process() for _ in range(PROCESSES)]

    def new_process(self) -> RateProcess:
        return RateProcess(self.database, self.time, RATES, self.passed)

    @rule(place=places, times=st.integers(1, LIMIT + 1))
    def calls(self, place: int, times: int) -> None:
        self.processes[place].call(times)

    @rule(seconds=seconds)
    def time_passes(self, seconds: float) -> None:
        """A process that does nothing meanwhile is frozen."""
        self.time.now += seconds

    @rule(seconds=st.sampled_from([0.3, 1.0]))
    def all_renew(self, seconds: float) -> None:
        self.time.now += seconds
        for process in self.processes:
            process.keeper.renew()

    @rule(place=places)
    def one_renews(self, place: int) -> None:
        self.processes[place].keeper.renew()

    @rule(place=places, other=places, times=st.integers(1, LIMIT))
    def one_is_overtaken(self, place: int, other: int, times: int) -> None:
        """Another process calls and renews between this one's read and its write."""

        def overtake() -> None:
            # All processes run in one thread here. If this one interrupted the other one in turn, both would wait for ever.
            self.processes[other].share_store.before_write = None
            self._call_and_renew(other, times)

        if place != other:
            self.processes[place].share_store.before_write = overtake
            self._call_and_renew(place, times)

    @rule(place=places, times=st.integers(1, LIMIT), seconds=seconds)
    def one_is_slow(self, place: int, times: int, seconds: float) -> None:
        """The process is frozen between its read and its write."""

        def freeze() -> None:
            self.time.now += seconds

        self.processes[place].share_store.before_write = freeze
        self._call_and_renew(place, times)

    @rule(place=places, times=st.integers(1, LIMIT))
    def an_answer_is_lost(self, place: int, times: int) -> None:
        self.processes[place].share_store.after_write = lose_the_answer
        self._call_and_renew(place, times)

    @rule(place=places)
    def one_is_killed(self, place: int) -> None:
        self.processes[place] = self.new_process()

    @rule(place=places)
    def one_leaves(self, place: int) -> None:
        self.processes[place].keeper.close()
        self.processes[place] = self.new_process()

    def _call_and_renew(self, place: int, times: int) -> None:
        self.processes[place].call(times)
        self.processes[place].keeper.renew()

    @invariant()
    def the_shares_in_force_are_no_more_than_the_whole(self) -> None:
        assert sum(process.parts_in_force for process in self.processes) <= WHOLE

    @invariant()
    def the_claims_that_are_written_are_no_more_than_the_whole(self) -> None:
        for claim_set in self.database.rate_shares.find():
            assert sum(claim["parts"] for claim in claim_set["claims"]) <= WHOLE

    @invariant()
    def no_second_has_more_calls_than_the_vendor_allows(self) -> None:
        """The rate limit counts in whole milliseconds."""
        recent = sorted(moment for moment in self.passed if moment > self.time.now - 8.0)
        for first, last in zip(recent, recent[LIMIT:], strict=False):
            assert last - first > 0.998


def test_the_vendors_rate_is_kept_by_all_together(database: Database) -> None:
    RateSharesMachine.database = database
    run_state_machine_as_test(
        RateSharesMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,  # the same sequences in every run; remove this line to explore others
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
