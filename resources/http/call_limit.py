"""Limits simultaneous calls, so that one slow system or institution does not occupy every worker and connection."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from casebridge.errors import RateLimitedError

LONGEST_WAIT: Final = timedelta(seconds=5)
"""A worker waits at most this long. Then the message goes back to the queue."""
COME_BACK_AFTER: Final = timedelta(seconds=5)
"""How long the message then waits in the queue."""


class CallLimit:
    """A number of places for simultaneous calls to one system. With `None`: to all systems together. Thread-safe."""

    def __init__(self, system: str | None, places: int, longest_wait: timedelta = LONGEST_WAIT) -> None:
        self._system = system
        self._places = threading.BoundedSemaphore(places)
        self._longest_wait = longest_wait

    @contextmanager
    def place(self) -> Generator[None]:
        """Have a place for one call within the block. Raises `RateLimitedError` if none is free within `longest_wait`."""
        if not self._places.acquire(timeout=self._longest_wait.total_seconds()):
            raise self._busy()
        try:
            yield
        finally:
            self._places.release()

    def _busy(self) -> RateLimitedError:
        called = self._system or "outside systems"
        return RateLimitedError(
            f"{(self._system or 'casebridge').lower()}.busy",
            f"As many calls to {called} are under way as may be at once, and none has ended.",
            "Nothing to do unless it lasts: then answers come slowly, or CASEBRIDGE_HTTP__CALLS_PER_… is low.",
            system=self._system,
            retry_after=COME_BACK_AFTER,
        )
