"""How many calls may be under way at once, so that one slow system or institution does not take every worker and connection."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from casebridge.errors import RateLimitedError

LONGEST_WAIT: Final = timedelta(seconds=5)
"""A worker is not kept waiting longer than this: the message goes back to the queue."""
COME_BACK_AFTER: Final = timedelta(seconds=5)


class CallLimit:
    """So many places, for the calls to one system or, with `None`, to all of them. Thread-safe."""

    def __init__(self, system: str | None, places: int, longest_wait: timedelta = LONGEST_WAIT) -> None:
        self._system = system
        self._places = threading.BoundedSemaphore(places)
        self._longest_wait = longest_wait

    @contextmanager
    def place(self) -> Generator[None]:
        """A place for one call; waits for one at most `longest_wait`, else raises `RateLimitedError`."""
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
