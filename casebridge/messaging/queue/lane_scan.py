"""How far one process reads into a lane: the oldest messages, without reading all that wait behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from casebridge.database import Document
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.message import moment_of


@dataclass
class LaneScan:
    """One lane, and the result of its last scan.

    Some servers read everything that matches before they sort. So a scan is bounded by time, not only by number: it asks for
    messages that were due within `span` after `oldest`.
    """

    lane: Lane
    oldest: datetime | None = None
    """When the last message that was found is due. `None` if nothing is known: then the scan asks for everything that is due."""
    span: timedelta = timedelta(seconds=1)
    seen: int = 0
    """How many due messages the last scan found."""
    drained: bool = False
    """Whether the last scan found fewer than were wanted, so that nothing more is due."""

    def until(self, now: datetime) -> datetime:
        """The latest due time that the scan asks for."""
        return now if self.oldest is None else min(now, self.oldest + self.span)

    def found(self, documents: Sequence[Document], wanted: int) -> None:
        """Note the result of a scan, and set how far to read the next time."""
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
