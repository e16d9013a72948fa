"""Waits for a condition, with a time limit: for what gives no signal, such as a document in MongoDB."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
CHECK_EVERY_SECONDS = 0.02


def wait_until(
    condition: Callable[[], Found], what: str, seconds: float = 60.0, every: float = CHECK_EVERY_SECONDS
) -> Found:
    """Call `condition` until it is true, and return its value. Raises `TimeoutError` with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(every)
