"""The time that all workers share: the database server's, not the host's.

A lease is a promise between hosts; a host whose clock is an hour wrong would break it. So the time of leases and due dates
is the host's monotonic clock, set by the server's `localTime` (`hello` command: MongoDB, DocumentDB, the embedded server).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

QUICK_SECONDS: Final = 0.1
FAR_AHEAD: Final = timedelta(days=2)
"""Further ahead of now nothing of ours is due, nor was it done: no wait is longer than a day (`settings.LONGEST_WAIT_SECONDS`,
and what another system asks for is cut to that), and a time of the past is that of one server. A stored time beyond that comes
from a hand or another program: whoever waited for it, or believed it, would do so for ever.
"""
READINGS: Final = 5
"""One that took longer than `QUICK_SECONDS` is made again, up to so many in all: the network stalled, or this process."""


def is_far_ahead(moment: datetime, now: datetime) -> bool:
    """Whether no release of ours would have stored `moment` as a time that something is due, or was done."""
    return moment > now + FAR_AHEAD


class Clock(Protocol):
    """What everything here asks for the time."""

    def now(self) -> datetime:
        """The current time, with zone UTC, to the millisecond: what MongoDB can store."""
        ...


def to_milliseconds(moment: datetime) -> datetime:
    """`moment` cut to whole milliseconds, so that it compares equal to what comes back from MongoDB."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@dataclass(frozen=True)
class _Reading:
    """What the server said, and when on the host's monotonic clock. Half of the way there and back may be its error."""

    server_time: datetime
    at: float
    way: float = 0.0

    @property
    def age(self) -> float:
        return time.monotonic() - self.at

    def now(self) -> datetime:
        return self.server_time + timedelta(seconds=self.age)


class ServerClock:
    """The database server's clock, read again every `resync`; in between it runs on the host's monotonic clock.

    If the server cannot be asked, the last reading runs on: the monotonic clock drifts far less than a lease is long.
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
                except Exception:  # noqa: BLE001 the driver's errors are many; the last reading serves
                    self._reading = _Reading(self._reading.now(), time.monotonic())
            return to_milliseconds(self._reading.now())

    def _best_reading(self) -> _Reading:
        """The quickest of a few: an answer that was held up on its way is late, and with it each lease that it is used for."""
        best = self._read()
        for _ in range(READINGS - 1):
            if best.way <= QUICK_SECONDS:
                break
            best = min(best, self._read(), key=lambda reading: reading.way)
        return best

    def _read(self) -> _Reading:
        asked = time.monotonic()
        said = self._read_server_time()
        way = time.monotonic() - asked
        return _Reading(said if said.tzinfo else said.replace(tzinfo=UTC), asked + way / 2, way)
