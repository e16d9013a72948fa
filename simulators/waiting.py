"""Waiting for a condition on the simulated data, so that a test waits for an event and not for a time.

Conditions are checked only while somebody waits, and then at most every few milliseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

CHECK_AFTER_S = 0.01


@dataclass(slots=True, eq=False)
class _Waiter:
    condition: Callable[[], bool]
    reached: asyncio.Future[None]


class Waiting:
    """The callers that wait for a condition."""

    def __init__(self) -> None:
        self._waiters: list[_Waiter] = []
        self._check: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Check the conditions soon, because something has changed. Costs nothing while nobody waits."""
        if self._waiters and self._check is None:
            self._check = asyncio.get_running_loop().call_later(CHECK_AFTER_S, self._check_now)

    async def until(self, condition: Callable[[], bool], *, timeout_s: float) -> bool:
        """Wait for the condition. Return whether it came true within the time."""
        if condition():
            return True
        waiter = _Waiter(condition, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter.reached
        except TimeoutError:
            return condition()
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return True

    def _check_now(self) -> None:
        self._check = None
        for waiter in [waiter for waiter in self._waiters if waiter.condition()]:
            self._waiters.remove(waiter)
            if not waiter.reached.done():
                waiter.reached.set_result(None)
