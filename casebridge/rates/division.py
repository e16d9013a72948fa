"""The arithmetic of shares: how much of one budget each process may use. `share_keeper` makes claims, `share_store` stores them.

A claim only grows into parts that no other process claims. So the claims on a budget never add up to more than the whole, even if
a process has outdated claims of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WHOLE: Final = 720_720
"""The parts of a budget. Divisible by every number up to 16, so equal shares of a small budget lose nothing by rounding."""


@dataclass(frozen=True)
class Claim:
    """The parts that one process may be using, until it claims others or has not renewed this claim for too long."""

    holder: str
    parts: int
    wants_more: bool
    revision: str
    """Changes with each write of the holder. A claim whose revision stays the same was not renewed."""


def usual_share(processes: int) -> int:
    """The parts that a process claims if it needs no more: half of an equal share. The rest is for other processes."""
    return WHOLE // processes // 2


def due_share(others: Sequence[Claim], *, wants_more: bool) -> int:
    """The parts that a process may claim beside `others`, never more than are free.

    - If it needs no more: the usual share.
    - If it needs more: everything; an equal share if others need more, too.
    """
    processes = len(others) + 1
    free = WHOLE - sum(claim.parts for claim in others)
    if not wants_more:
        wanted = usual_share(processes)
    elif any(claim.wants_more for claim in others):
        wanted = WHOLE // processes
    else:
        wanted = WHOLE
    return max(0, min(wanted, free))
