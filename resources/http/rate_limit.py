"""Keeps calls within an outside system's rates. Each credential has one gate, which all threads of the process share.

- The vendor counts calls by credential (contract 4.1), so all calls with the same credential pass the same gate.
- Processes with the same credential use a share of its rates each (`casebridge.rates`).
- Other programs may use the credential, too. The answers show it: `RateLimit-…` headers and status 429 close the gate.
"""

import math
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from pyrate_limiter import InMemoryBucket, Rate, RateItem

from casebridge.errors import RateLimitedError
from casebridge.rates.division import WHOLE
from casebridge.rates.share import Share

LONGEST_WAIT: Final = timedelta(seconds=5)
"""A worker waits at most this long. Then the message goes back to the queue until the gate opens."""
LONGEST_HOLD: Final = timedelta(minutes=10)
"""A header closes the gate for at most this long. A wrong header must not stop an institution for a day."""
WAIT_AFTER_429: Final = timedelta(seconds=1)
"""How long the gate is closed after a 429 that does not say how long."""
UNIX_TIME: Final = 1_000_000_000.0
"""A reset above this many seconds is a point in time, not a wait."""
_TIDY_EVERY: Final = 1024


class RateLimit:
    """The gate of one credential.

    - `rates` are the vendor's, as pairs of calls and seconds. Without any, only answers close the gate.
    - Without a `share`, this process has the whole rates.
    - `monotonic` and `wait` are for tests: the clock in seconds, and a wait that returns true if it was interrupted.
    """

    def __init__(
        self,
        system: str,
        rates: Sequence[tuple[int, float]],
        *,
        share: Share | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._system = system
        self._monotonic = monotonic
        self._closing = threading.Event()
        self._wait = wait or self._closing.wait
        self._lock = threading.Lock()
        self._held_until = -math.inf
        self._passed = 0
        self._rates = rates
        self._share = share
        self._parts = WHOLE
        # pyrate-limiter's `Limiter` is not used: its wait cannot be interrupted, and it starts a thread for each bucket.
        binding = _binding_rates(rates)
        self._bucket = InMemoryBucket(binding) if binding else None
        if share is not None:
            share.measure_by(self.parts_in_use)

    def pass_gate(self) -> None:
        """Return when one more call is allowed. Raises `RateLimitedError` if that would take longer than `LONGEST_WAIT`."""
        gives_up_at = self._monotonic() + LONGEST_WAIT.total_seconds()
        while True:
            seconds, parts = self._seconds_to_wait()
            if seconds <= 0:
                return
            if self._share is not None and parts is not None:
                if self._share.grow_beyond(parts):
                    continue
                if self._share.may_grow():
                    seconds = min(seconds, self._share.round_seconds)
            if self._monotonic() + seconds > gives_up_at:
                if self._share is not None and parts is not None and self._share.is_small:
                    # Only our share is used up. It is small at present and may soon grow, so the message waits a short time.
                    seconds = min(seconds, LONGEST_WAIT.total_seconds())
                raise self._error(
                    "rate_limited",
                    "All calls that the credential allows are used up.",
                    "Nothing to do: the message waits without losing an attempt.",
                    timedelta(seconds=seconds),
                )
            if self._wait(seconds):
                raise self._error(
                    "interrupted",
                    "casebridge is shutting down while a call waited for its turn.",
                    "Nothing to do: the message is taken again after the start.",
                    timedelta(0),
                )

    def observe(self, status: int, headers: Mapping[str, str]) -> timedelta | None:
        """Close the gate if an answer says so. Return how long the caller should wait after a 429, else None."""
        wait = retry_after(headers)
        if status == 429:
            self.hold(wait or WAIT_AFTER_429)
            return wait or WAIT_AFTER_429
        used_up = _used_up_for(headers)
        if used_up is not None:
            self.hold(used_up)
        return None

    def hold(self, duration: timedelta) -> None:
        """Close the gate for `duration`, but at most for `LONGEST_HOLD`."""
        until = self._monotonic() + min(duration, LONGEST_HOLD).total_seconds()
        with self._lock:
            self._held_until = max(self._held_until, until)

    def close(self) -> None:
        """Wake all waiting threads. They get a `RateLimitedError`, which uses no attempt."""
        self._closing.set()

    def parts_in_use(self) -> int:
        """How many parts (of `WHOLE`) of the rates are in use by calls that the vendor still counts."""
        with self._lock:
            if self._bucket is None:
                return 0
            now, calls = int(self._monotonic() * 1000), self._bucket.items
            used = [
                math.ceil((len(calls) - _first_since(calls, now - round(seconds * 1000))) * WHOLE / limit)
                for limit, seconds in self._rates
            ]
            return min(WHOLE, max(used))

    def _seconds_to_wait(self) -> tuple[float, int | None]:
        """0 if the call may be made now, else the seconds after which to ask again.

        The second value is the share that was too small, in parts of the rates. It is `None` if the other end closed the gate.
        """
        with self._lock:
            now = self._monotonic()
            if now < self._held_until:
                return self._held_until - now, None
            if self._bucket is None:
                return 0.0, None
            parts = WHOLE if self._share is None else self._share.parts()
            if not self._adopt(self._bucket, parts):
                return LONGEST_WAIT.total_seconds() if self._share is None else self._share.round_seconds, parts
            milliseconds = int(now * 1000)
            self._tidy(milliseconds)
            call = RateItem(self._system, milliseconds)
            if self._bucket.put(call):
                return 0.0, parts
            waiting = float(self._bucket.waiting(call))  # type: ignore[arg-type]  # in memory: never awaitable
            return max(waiting, 1.0) / 1000, parts

    def _adopt(self, bucket: InMemoryBucket, parts: int) -> bool:
        """Limit the bucket to `parts` of the rates. Return false if they allow not even one call."""
        if parts == self._parts:
            return True
        shares = [(limit * parts // WHOLE, seconds) for limit, seconds in self._rates]
        if min(limit for limit, _ in shares) == 0:
            return False
        bucket.rates = _binding_rates(shares)
        self._parts = parts
        return True

    def _tidy(self, milliseconds: int) -> None:
        self._passed += 1
        if self._bucket is not None and self._passed % _TIDY_EVERY == 0:
            self._bucket.leak(milliseconds)

    def _error(self, code: str, cause: str, next_action: str, wait: timedelta) -> RateLimitedError:
        return RateLimitedError(
            f"{self._system.lower()}.{code}", cause, next_action, system=self._system, retry_after=wait
        )


def _binding_rates(rates: Sequence[tuple[int, float]]) -> list[Rate]:
    """The rates without those that another rate implies, which pyrate-limiter refuses. The shortest interval comes first."""
    kept: list[Rate] = []
    for limit, seconds in sorted(rates, key=lambda rate: rate[1]):
        rate = Rate(limit, max(1, round(seconds * 1000)))
        while kept and rate.limit <= kept[-1].limit:
            kept.pop()
        if not kept or rate.limit / rate.interval <= kept[-1].limit / kept[-1].interval:
            kept.append(rate)
    return kept


def _first_since(calls: Sequence[RateItem], milliseconds: int) -> int:
    return bisect_left(calls, milliseconds, key=lambda call: call.timestamp)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """How long the other end asks us to wait: `Retry-After` (seconds or a date), else the reset of a rate (contract 4.1).

    A date is compared with the answer's own `Date`, so a wrong clock on our side does not matter.
    """
    value = headers.get("Retry-After", "").strip()
    if value:
        seconds = _seconds(value)
        if seconds is None:
            seconds = _seconds_until(value, headers.get("Date"))
        if seconds is not None:
            return timedelta(seconds=seconds)
    used_up = _used_up_for(headers)
    if used_up is not None:
        return used_up
    seconds = _seconds(headers.get("RateLimit-Reset", ""))
    return None if seconds is None else timedelta(seconds=seconds)


def _used_up_for(headers: Mapping[str, str]) -> timedelta | None:
    """The longest reset of the rates that have no calls left; None if all have some."""
    resets = [
        _seconds(headers.get(f"{rate}Reset", "")) or WAIT_AFTER_429.total_seconds()
        for rate in ("RateLimit-", "X-RateLimit-Second-", "X-RateLimit-Minute-")
        if headers.get(f"{rate}Remaining", "").strip() == "0"
    ]
    return timedelta(seconds=max(resets)) if resets else None


def _seconds(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    if not math.isfinite(seconds) or seconds < 0:
        return None
    if seconds > UNIX_TIME:
        seconds = max(0.0, seconds - datetime.now(UTC).timestamp())
    return min(seconds, timedelta(days=1).total_seconds())


def _seconds_until(value: str, answered_at: str | None) -> float | None:
    moment = _http_date(value)
    if moment is None:
        return None
    now = (_http_date(answered_at) if answered_at else None) or datetime.now(UTC)
    return min(max(0.0, (moment - now).total_seconds()), timedelta(days=1).total_seconds())


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None  # Python's parser raises many kinds of errors for a text that is not a date
