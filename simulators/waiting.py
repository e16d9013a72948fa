"""Waiting for a condition of the world to come true, so that a test waits on signals and never on time.

Conditions are looked at only while somebody waits, and then at most every few milliseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

LOOK_AGAIN_AFTER_S = 0.01


@dataclass(slots=True, eq=False)
class _Waiter:
    condition: Callable[[], bool]
    reached: asyncio.Future[None]


class Waiting:
    """Those who wait for the world to reach a condition."""

    def __init__(self) -> None:
        self._waiters: list[_Waiter] = []
        self._look: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Something in the world changed: look at the conditions soon. Costs nothing while nobody waits."""
        if self._waiters and self._look is None:
            self._look = asyncio.get_running_loop().call_later(LOOK_AGAIN_AFTER_S, self._look_now)

    async def until(self, condition: Callable[[], bool], *, timeout_s: float) -> bool:
        """Whether the condition came true within the time."""
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

    def _look_now(self) -> None:
        self._look = None
        for waiter in [waiter for waiter in self._waiters if waiter.condition()]:
            self._waiters.remove(waiter)
            if not waiter.reached.done():
                waiter.reached.set_result(None)
