"""How much of one budget each process may use. Plain arithmetic: claims are stored by `share_store`, made by `share_keeper`.

A claim only grows into what no other process claims. So the claims of a budget never come to more than the whole, whatever each
process believes of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WHOLE: Final = 720_720
"""The parts of a budget: divisible by every number up to 16, so that equal shares of a small budget lose nothing by rounding."""


@dataclass(frozen=True)
class Claim:
    """What one process may be using, until it claims another part or has not renewed this one for too long."""

    holder: str
    parts: int
    wants_more: bool
    revision: str
    """Another one with each write of the holder: a claim that keeps its revision was not renewed."""


def usual_share(processes: int) -> int:
    """What a process claims without need: half of an equal share. The rest is for processes that come or need more."""
    return WHOLE // processes // 2


def due_share(others: Sequence[Claim], *, wants_more: bool) -> int:
    """The parts that a process may claim beside `others`.

    One that needs more gets all that is free, and an equal share as soon as others need more, too.
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
