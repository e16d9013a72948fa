"""How far one process reads into a lane: the oldest messages first, without reading all that wait behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from casebridge.database import Document
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.message import moment_of


@dataclass
class LaneScan:
    """One lane, and what the last scan of it found.

    Some servers read all that matches before they sort. So a scan is bounded by time, not only by number: it asks for what was
    due within `span` after `oldest`.
    """

    lane: Lane
    oldest: datetime | None = None
    """When the last message that was found is due. `None`: nothing is known, so all that is due is asked for."""
    span: timedelta = timedelta(seconds=1)
    seen: int = 0
    """How many due messages the last scan found."""
    drained: bool = False
    """Whether it found fewer than were wanted: nothing more is due."""

    def until(self, now: datetime) -> datetime:
        """Up to when messages are asked for."""
        return now if self.oldest is None else min(now, self.oldest + self.span)

    def found(self, documents: Sequence[Document], wanted: int) -> None:
        """Learn from what was found how far to read the next time."""
        self.seen, self.drained = len(documents), len(documents) < wanted
        if self.drained:
            self.oldest = None
            return
        times = [moment for document in documents if (moment := moment_of(document, "dueAt")) is not None]
        if not times:
            self.oldest = None
            return
        self.oldest = times[-1]
        self.span = max((times[-1] - times[0]) * 2, self.span / 4, timedelta(milliseconds=1))
