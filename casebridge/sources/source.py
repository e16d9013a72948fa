"""A source: an outside system that is polled for cases, and the queues of the messages that the poll makes.

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
    """How much one poll reads."""

    reach_back: timedelta | None = None
    """How far before its watermark the source is read. `None` means the usual overlap."""
    also_finished: bool = False
    """Also read finished cases again, to find changes."""
    budget_seconds: float | None = None
    """The poll ends after this time. Institutions that were not polled by then are `skipped`."""


EVERYTHING_NEW: Final = PollRange()
"""Everything that changed since the last poll, without a limit of time."""


@dataclass(frozen=True)
class Awaited:
    """How many of the awaited cases came to which state. Those in `waiting` were too late."""

    dispatched: int
    """The other system has the case, or has answered it."""
    set_aside: int
    waiting: int
    withdrawn: int
    """Removed or finished at the source in the meantime."""


@dataclass(frozen=True)
class Source:
    """One source of a capability. A poll only puts messages into the inbox, so several may run at once."""

    name: str
    """The name of what the source finds, for reports: `requests`."""
    system: str
    """The name of the system that is polled, for people: `FS`."""
    poll: Callable[[Sequence[Institution], PollRange], list[PollOutcome]]
    queues: tuple[str, ...]
    """The queues of the messages that the poll makes, in the order in which a batch handles them."""
    handled_as: str
    """The word for a handled message in reports: `sent`."""
    brings_outcomes: bool = False
    """The source finds the outcomes of open cases. After a restore of the database it is polled first. Otherwise cases that
    their own source shows as finished would be taken for cases that somebody else finished."""
    awaited: Callable[[Sequence[str]], Awaited] | None = None
    """Says how far the cases with these correlation ids are. `None` if nothing waits for their outcome."""
    awaited_as: str = "outcome"
