"""The time that all workers share: the database server's, not the host's.

Leases hold between hosts, so a host whose clock is an hour wrong would break them. Leases and due times therefore use the host's
monotonic clock, set by the server's `localTime` (`hello` command: MongoDB, DocumentDB, the embedded server).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

QUICK_SECONDS: Final = 0.1
FAR_AHEAD: Final = timedelta(days=2)
"""No release of casebridge stores a time that is further ahead of now than this.

- No wait is longer than a day: `settings.LONGEST_WAIT_SECONDS`. Longer waits that other systems ask for are cut to that.
- Times of the past all come from one server.

So a time further ahead was stored by a person or another program. Nothing may wait for it: that might last for ever.
"""
READINGS: Final = 5
"""The most readings of the server's time in a row. One that took longer than `QUICK_SECONDS` was delayed, and is repeated."""


def is_far_ahead(moment: datetime, now: datetime) -> bool:
    """Whether `moment` is so far ahead that no release of casebridge stores it, as a due time or as a time of the past."""
    return moment > now + FAR_AHEAD


class Clock(Protocol):
    """The source of the current time for all of the engine."""

    def now(self) -> datetime:
        """The current time in UTC, to the millisecond, which is what MongoDB can store."""
        ...


def to_milliseconds(moment: datetime) -> datetime:
    """`moment` cut to whole milliseconds, so that it equals the value that MongoDB returns."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@dataclass(frozen=True)
class _Reading:
    """The server's time, and when it was read on the host's monotonic clock. `duration` is how long the read took.

    The error is at most half of `duration`.
    """

    server_time: datetime
    at: float
    duration: float = 0.0

    @property
    def age(self) -> float:
        return time.monotonic() - self.at

    def now(self) -> datetime:
        return self.server_time + timedelta(seconds=self.age)


class ServerClock:
    """The database server's clock. It is read again every `resync`; in between it runs on the host's monotonic clock.

    While the server cannot be read, the last reading is used: the monotonic clock drifts much less than a lease is long.
    """

    def __init__(self, read_server_time: Callable[[], datetime], resync: timedelta = timedelta(minutes=5)) -> None:
        self._read_server_time = read_server_time
        self._resync_seconds = resync.total_seconds()
        self._lock = threading.Lock()
        self._reading: _Reading | None = None

    def now(self) -> datetime:
        with self._lock:
            if self._reading is None:
                self._reading = self._best_reading()
            elif self._reading.age > self._resync_seconds:
                try:
                    self._reading = self._best_reading()
                except Exception:  # noqa: BLE001 the driver has many errors; the last reading is used
                    self._reading = _Reading(self._reading.now(), time.monotonic())
            return to_milliseconds(self._reading.now())

    def _best_reading(self) -> _Reading:
        """The quickest of a few readings: a delayed answer gives a late time, and each lease would be late by as much."""
        best = self._read()
        for _ in range(READINGS - 1):
            if best.duration <= QUICK_SECONDS:
                break
            best = min(best, self._read(), key=lambda reading: reading.duration)
        return best

    def _read(self) -> _Reading:
        began = time.monotonic()
        answer = self._read_server_time()
        duration = time.monotonic() - began
        return _Reading(answer if answer.tzinfo else answer.replace(tzinfo=UTC), began + duration / 2, duration)
