"""Until when the work of this thread may begin something new, and when it must be over: the time of a bounded round.

Thread-local, so that a call to the outside deep inside is cut off in time without every layer handing the limit on.
"""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

BEGIN_SHARE: Final = 0.6
"""Of a round's time: what is begun later has too little time to end."""
TOLERANCE_SECONDS: Final = 0.1
"""A wait that ends with the limit may end a little early by the clock."""

_here = threading.local()


@dataclass(frozen=True)
class TimeLimit:
    """Moments on the monotonic clock."""

    begin_until: float
    end: float

    @classmethod
    def of(cls, seconds: float) -> "TimeLimit":
        """A round of so many seconds from now."""
        now = time.monotonic()
        return cls(now + seconds * BEGIN_SHARE, now + seconds)

    @property
    def is_late(self) -> bool:
        """Whether nothing new is begun any more."""
        return time.monotonic() >= self.begin_until

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.end - TOLERANCE_SECONDS


@contextmanager
def within(limit: TimeLimit | None) -> Generator[None]:
    """Bind the work of this thread by `limit`."""
    before = current()
    _here.limit = limit
    try:
        yield
    finally:
        _here.limit = before


def current() -> TimeLimit | None:
    """The limit of this thread; to be handed to threads that it starts."""
    limit: TimeLimit | None = getattr(_here, "limit", None)
    return limit


def seconds_left(most: float) -> float:
    """What a call may take that would take `most` at most; never less than a moment, so that it fails as a call does."""
    limit = current()
    return most if limit is None else min(most, max(0.01, limit.end - time.monotonic()))
