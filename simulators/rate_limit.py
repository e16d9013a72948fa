"""WISEflow's rate limit: 200 calls a second and 5000 a minute for each credential set (contract 4.1).

The windows follow the clock: with each new second and each new minute, all calls are allowed again.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from simulators.order_fields import LARGEST, check_fields, whole

CALLS_PER_SECOND = 200
CALLS_PER_MINUTE = 5_000


@dataclass(frozen=True, slots=True)
class Rates:
    """How many calls a credential set may make. The defaults are the vendor's limits; a test may set lower ones."""

    calls_per_second: int = CALLS_PER_SECOND
    calls_per_minute: int = CALLS_PER_MINUTE

    @classmethod
    def from_json(cls, order: dict[str, Any]) -> Rates:
        """Read an order. Fields that are left out get the vendor's limits.

        :raises ValueError: an unknown field, or a value that is no whole number
        """
        check_fields(order, dict.fromkeys(cls.__slots__, whole(0, LARGEST)))
        return cls(**order)


@dataclass(slots=True)
class _Window:
    seconds: int
    limit: int
    begun: int = 0
    used: int = 0

    def take(self, now: float) -> bool:
        """Use one call of the window. Return False if none was left."""
        begun = int(now) - int(now) % self.seconds
        if begun != self.begun:
            self.begun, self.used = begun, 0
        self.used += 1
        return self.used <= self.limit

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    def reset_s(self, now: float) -> int:
        return max(1, math.ceil(self.begun + self.seconds - now))


@dataclass(frozen=True, slots=True)
class Allowance:
    """The limit's decision on one call, and the headers of the answer."""

    allowed: bool
    headers: dict[str, str]


class RateLimit:
    """The two windows of one credential set, and the number of calls that were refused."""

    def __init__(self, rates: Rates | None = None) -> None:
        rates = rates or Rates()
        self._second = _Window(1, rates.calls_per_second)
        self._minute = _Window(60, rates.calls_per_minute)
        self.refused = 0

    def take(self, now: float | None = None) -> Allowance:
        """Use one call of both windows. The vendor's headers in the result say how many calls are left.

        :param now: Unix seconds; None means now
        """
        moment = time.time() if now is None else now
        allowed = [window.take(moment) for window in (self._minute, self._second)]
        minute, second = self._minute, self._second
        tightest = min((second, minute), key=lambda window: window.remaining)
        headers = {
            "RateLimit-Limit": str(tightest.limit),
            "RateLimit-Remaining": str(tightest.remaining),
            "RateLimit-Reset": str(tightest.reset_s(moment)),
        }
        for name, window in (("Minute", minute), ("Second", second)):
            headers[f"X-RateLimit-{name}-Limit"] = str(window.limit)
            headers[f"X-RateLimit-{name}-Remaining"] = str(window.remaining)
            headers[f"X-RateLimit-{name}-Reset"] = str(window.reset_s(moment))
        if not all(allowed):
            self.refused += 1
            headers["Retry-After"] = str((second if allowed[0] else minute).reset_s(moment))
        return Allowance(all(allowed), headers)
