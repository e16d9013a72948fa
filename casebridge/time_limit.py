"""The time limit of a bounded round: until when a thread may begin something new, and when its work must end.

The limit is thread-local. So a call to an outside system ends in time, although the layers between do not pass the limit on.
"""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

BEGIN_SHARE: Final = 0.6
"""The share of a round's time in which something new may begin. Later there would be too little time to finish."""
TOLERANCE_SECONDS: Final = 0.1
"""A wait until the limit may end this much too early by the clock."""

_here = threading.local()


@dataclass(frozen=True)
class TimeLimit:
    """The two limits of a round, as times on the monotonic clock."""

    begin_until: float
    end: float

    @classmethod
    def of(cls, seconds: float) -> "TimeLimit":
        """The limit of a round of `seconds` from now."""
        now = time.monotonic()
        return cls(now + seconds * BEGIN_SHARE, now + seconds)

    @property
    def is_late(self) -> bool:
        """Whether nothing new may begin."""
        return time.monotonic() >= self.begin_until

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.end - TOLERANCE_SECONDS


@contextmanager
def within(limit: TimeLimit | None) -> Generator[None]:
    """Set the limit for the work of this thread within the block."""
    before = current()
    _here.limit = limit
    try:
        yield
    finally:
        _here.limit = before


def current() -> TimeLimit | None:
    """The limit of this thread. Pass it on to threads that it starts."""
    limit: TimeLimit | None = getattr(_here, "limit", None)
    return limit


def seconds_left(most: float) -> float:
    """The seconds that a call may take: `most`, or what is left of the limit.

    Never less than 0.01, so that the call ends with its own timeout error.
    """
    limit = current()
    return most if limit is None else min(most, max(0.01, limit.end - time.monotonic()))
