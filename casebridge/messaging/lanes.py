"""Lanes: the messages of one institution in one queue. They are served in turns, so that a crowd in one starves no other.

`oai.lanes` has a document for each lane that ever had a message. Its `wokenAt` is the bell between processes: who puts something
into a lane writes the time there, and whoever waits sees it (`wake_up`). Whose turn it is, is decided in `turns`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from casebridge.clock import Clock
from casebridge.database import Database, Document
from casebridge.messaging.odd_documents import OddDocuments, is_never_found


@dataclass(frozen=True, order=True)
class Lane:
    """One institution's messages in one queue. A field is `None` for documents that lack it."""

    institution: str | None
    queue: str | None

    @classmethod
    def of(cls, document: Document) -> "Lane":
        return cls(_name(document, "institution"), _name(document, "queue"))

    def selection(self) -> Document:
        return {"institution": self.institution, "queue": self.queue}


def _name(document: Document, field: str) -> str | None:
    value = document.get(field)
    return value if isinstance(value, str) else None


class Lanes:
    """Reads and writes `oai.lanes`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._messages = database.messages
        self.collection = database.lanes
        self._clock = clock
        self._odd = OddDocuments(database, clock)

    def ring(self, lanes: Iterable[Lane]) -> None:
        """Tell every process that something waits in these lanes. Losing a ring costs time and never a message."""
        now = self._clock.now()
        rings = [
            UpdateOne({"_id": lane.selection()}, {"$set": {"wokenAt": now}}, upsert=True)
            for lane in sorted(set(lanes), key=str)
        ]
        try:
            self.collection.bulk_write(rings, ordered=False)
        except BulkWriteError:
            # Two processes made the same new lane at once: by now it is there.
            self.collection.bulk_write(rings, ordered=False)

    def read(self) -> list[Document]:
        """All lanes that were ever rung: some hundred small documents at most."""
        return list(self.collection.find())

    def search(self) -> set[Lane]:
        """The lanes of the messages that are there, rung or not; costs a look at each live message on some servers.

        Messages that no claim would find are adopted, or set aside, on the way.
        """
        groups = self._groups()
        if any(is_never_found(group) for group in groups) and self._odd.adopt():
            groups = self._groups()
        return {Lane.of(group) for group in groups if _has_a_name(group)}

    def _groups(self) -> list[Document]:
        names: Document = {name: f"${name}" for name in ("institution", "queue", "status")}
        pipeline: list[Document] = [{"$group": {"_id": {**names, "due": {"$type": "$dueAt"}}}}]
        return [group["_id"] for group in self._messages.aggregate(pipeline)]


def _has_a_name(group: Document) -> bool:
    return all(isinstance(group.get(name), str | None) for name in ("institution", "queue"))
