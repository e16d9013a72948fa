"""Processes that share one vendor's rates, as far as the rates go: a keeper and a gate each, on one clock that tests move."""

from collections.abc import Callable, Mapping, Sequence

from casebridge.database import Database
from casebridge.errors import RateLimitedError
from casebridge.rates.division import Claim
from casebridge.rates.share_keeper import ShareKeeper
from casebridge.rates.share_store import ClaimSet, ShareStore
from resources.http.rate_limit import RateLimit
from tests.support.manual_clock import ManualSeconds

KEY = "one credential"
LEASE_SECONDS = 5.0


class Interrupted(ShareStore):
    """The book as a process sees it on a bad day: something happens between its look and its write, or after its write."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.before_write: Callable[[], None] | None = None
        self.after_write: Callable[[], None] | None = None

    def write(self, claim_sets: Mapping[str, ClaimSet], claims: Mapping[str, Sequence[Claim]]) -> set[str]:
        if happening := self.before_write:
            self.before_write = None
            happening()
        written = super().write(claim_sets, claims)
        if happening := self.after_write:
            self.after_write = None
            happening()
        return written


class RateProcess:
    """`passed` is everybody's: the moments of the calls that went out, as the vendor would see them."""

    def __init__(
        self, database: Database, time: ManualSeconds, rates: Sequence[tuple[int, float]], passed: list[float]
    ) -> None:
        self.book = Interrupted(database)
        self.keeper = ShareKeeper(self.book, LEASE_SECONDS, monotonic=time.monotonic, in_background=False)
        self.share = self.keeper.share(KEY)
        self.gate = RateLimit("WISEflow", rates, share=self.share, monotonic=time.monotonic, wait=lambda _seconds: True)
        self._time = time
        self._passed = passed

    def call(self, times: int) -> int:
        """So many calls, as far as they go out at once."""
        for done in range(times):
            try:
                self.gate.pass_gate()
            except RateLimitedError:
                return done
            self._passed.append(self._time.now)
        return times

    @property
    def parts_in_force(self) -> int:
        return self.share.parts_in_force
