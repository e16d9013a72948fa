"""Who may use how much of one budget. Plain arithmetic: claims are kept by `share_book` and made by `share_keeper`.

A claim only grows into what nobody else claims, so the claims of a budget never come to more than the whole, whatever each
process believes of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WHOLE: Final = 720_720
"""The parts of a budget: divisible by every number up to 16, so that equal shares of a small budget lose nothing by rounding."""


@dataclass(frozen=True)
class Claim:
    """What one process may be using until it says otherwise, or has been silent for too long."""

    holder: str
    parts: int
    wants_more: bool
    revision: str
    """Another one with each write of the holder: a claim that keeps its word belongs to a process that is silent."""


def usual_share(processes: int) -> int:
    """What a process claims without need: half of an equal share. The rest is there for whoever comes or needs it."""
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
