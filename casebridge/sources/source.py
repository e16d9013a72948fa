"""A source: where cases come from by polling, and which queues carry what it finds.

A capability declares its sources (`casebridge.capability`). `casebridge sync` polls each in turn and then handles its queues.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from casebridge.institutions.institution import Institution
from casebridge.sources.polling import PollOutcome


@dataclass(frozen=True)
class PollRange:
    """How much one poll looks at."""

    reach_back: timedelta | None = None
    """How far behind its watermark the source is read; `None` is the ordinary overlap."""
    also_finished: bool = False
    """Look again at what is finished, for changes."""
    budget_seconds: float | None = None
    """The poll is over by then. Institutions without a turn are `skipped`."""


EVERYTHING_NEW: Final = PollRange()
"""What changed since the last poll, for as long as that takes."""


@dataclass(frozen=True)
class Awaited:
    """What became of the cases that were waited for. `waiting` did not get there in time."""

    dispatched: int
    """The other end has the case, or had it and has answered."""
    set_aside: int
    waiting: int
    withdrawn: int
    """Removed or settled at the source meanwhile."""


@dataclass(frozen=True)
class Source:
    """One source of a capability. It only feeds the inbox: it may be polled at any time, side by side with itself."""

    name: str
    """What it finds, as reports name it: `requests`."""
    system: str
    """The system that is polled, as people say it: `FS`."""
    poll: Callable[[Sequence[Institution], PollRange], list[PollOutcome]]
    queues: tuple[str, ...]
    """The queues that carry what it finds, in the order in which a batch handles them."""
    handled_as: str
    """What handling them is called in reports: `sent`."""
    brings_outcomes: bool = False
    """It finds what became of cases that are open already. After a restore of the database it is polled first: what a case's own
    source shows as finished would be taken for finished by somebody else."""
    awaited: Callable[[Sequence[str]], Awaited] | None = None
    """How far the cases with these correlation ids are. `None`: nobody waits for their outcome."""
    awaited_as: str = "outcome"
