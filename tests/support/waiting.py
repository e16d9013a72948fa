"""Waiting for a condition with an end in sight: for what has no signal of its own, such as a document in MongoDB."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
LOOK_EVERY_SECONDS = 0.02


def wait_until(look: Callable[[], Found], what: str, seconds: float = 60.0, every: float = LOOK_EVERY_SECONDS) -> Found:
    """The first true value of `look`. Raises `TimeoutError`, which says `what` did not come about."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(every)
