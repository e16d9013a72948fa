"""The time that all workers share: the database server's, not the host's.

A lease is a promise between hosts; a host whose clock is an hour wrong would break it. So the time of leases and due dates
is the host's monotonic clock, set by the server's `localTime` (`hello` command: MongoDB, DocumentDB, the embedded server).
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What everything here asks for the time."""

    def now(self) -> datetime:
        """The current time, with zone UTC, to the millisecond: what MongoDB can store."""
        ...


def to_milliseconds(moment: datetime) -> datetime:
    """`moment` cut to whole milliseconds, so that it compares equal to what comes back from MongoDB."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class SystemClock:
    """The host's own clock, for tools that hold no lease."""

    def now(self) -> datetime:
        return to_milliseconds(datetime.now(UTC))


class ServerClock:
    """The database server's clock, read again every `resync`; in between it runs on the host's monotonic clock.

    If the server cannot be asked, the last reading runs on: the monotonic clock drifts far less than a lease is long.
    """

    def __init__(self, read_server_time: Callable[[], datetime], resync: timedelta = timedelta(minutes=5)) -> None:
        self._read_server_time = read_server_time
        self._resync_seconds = resync.total_seconds()
        self._lock = threading.Lock()
        self._server_time: datetime | None = None
        self._read_at = 0.0

    def now(self) -> datetime:
        with self._lock:
            elapsed = time.monotonic() - self._read_at
            if self._server_time is None:
                self._read()
                elapsed = 0.0
            elif elapsed > self._resync_seconds:
                try:
                    self._read()
                    elapsed = 0.0
                except Exception:  # noqa: BLE001 the driver's errors are many; the last reading serves
                    self._read_at, self._server_time = time.monotonic(), self._server_time + timedelta(seconds=elapsed)
                    elapsed = 0.0
            return to_milliseconds(self._known() + timedelta(seconds=elapsed))

    def _read(self) -> None:
        server_time = self._read_server_time()
        self._server_time = server_time if server_time.tzinfo else server_time.replace(tzinfo=UTC)
        self._read_at = time.monotonic()

    def _known(self) -> datetime:
        if self._server_time is None:
            raise RuntimeError("the clock was never read")
        return self._server_time
