"""Processes that share one vendor's rates: each has a share keeper and a rate limit, on one clock that tests move."""

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


class InterruptedShareStore(ShareStore):
    """A share store in which something happens between a process's read and its write, or after its write."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.before_write: Callable[[], None] | None = None
        self.after_write: Callable[[], None] | None = None

    def write(self, claim_sets: Mapping[str, ClaimSet], claims: Mapping[str, Sequence[Claim]]) -> set[str]:
        if action := self.before_write:
            self.before_write = None
            action()
        written = super().write(claim_sets, claims)
        if action := self.after_write:
            self.after_write = None
            action()
        return written


class RateProcess:
    """One process. All processes share `passed`: the times of the calls that went out, as the vendor would see them."""

    def __init__(
        self, database: Database, time: ManualSeconds, rates: Sequence[tuple[int, float]], passed: list[float]
    ) -> None:
        self.share_store = InterruptedShareStore(database)
        self.keeper = ShareKeeper(self.share_store, LEASE_SECONDS, monotonic=time.monotonic, in_background=False)
        self.share = self.keeper.share(KEY)
        self.gate = RateLimit("WISEflow", rates, share=self.share, monotonic=time.monotonic, wait=lambda _seconds: True)
        self._time = time
        self._passed = passed

    def call(self, times: int) -> int:
        """Call this many times, until a call would have to wait. Returns how many calls went out."""
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
