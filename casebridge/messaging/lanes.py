"""Lanes: the messages of one institution in one queue. They are served in turns, so that a crowd in one starves no other.

`oai.lanes` has a document for each lane that ever had a message. Its `wokenAt` is the bell between processes: who puts something
into a lane writes the time there, and whoever waits sees it (`wake_up`). Whose turn it is, is decided in `turns`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pymongo import UpdateOne

from casebridge.clock import Clock
from casebridge.database import Database, Document


@dataclass(frozen=True, order=True)
class Lane:
    """One institution's messages in one queue. A field is `None` for documents that lack it."""

    institution: str | None
    queue: str | None

    @classmethod
    def of(cls, document: Document) -> "Lane":
        return cls(document.get("institution"), document.get("queue"))

    def selection(self) -> Document:
        return {"institution": self.institution, "queue": self.queue}


class Lanes:
    """Reads and writes `oai.lanes`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._messages = database.messages
        self.collection = database.lanes
        self._clock = clock

    def ring(self, lanes: Iterable[Lane]) -> None:
        """Tell every process that something waits in these lanes. Losing a ring costs time and never a message."""
        now = self._clock.now()
        self.collection.bulk_write(
            [
                UpdateOne({"_id": lane.selection()}, {"$set": {"wokenAt": now}}, upsert=True)
                for lane in sorted(set(lanes), key=str)
            ],
            ordered=False,
        )

    def read(self) -> list[Document]:
        """All lanes that were ever rung: some hundred small documents at most."""
        return list(self.collection.find())

    def search(self) -> set[Lane]:
        """The lanes of the messages that are there, rung or not; costs a look at each live message on some servers."""
        groups = self._messages.aggregate([{"$group": {"_id": {"institution": "$institution", "queue": "$queue"}}}])
        return {Lane.of(group["_id"]) for group in groups}
