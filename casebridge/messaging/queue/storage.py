"""The base of every part of MeldingQ: the collections, the clock, the lanes, and their subscribers."""

from collections.abc import Callable, Iterable
from datetime import timedelta

from casebridge.clock import Clock
from casebridge.database import Database, Document
from casebridge.messaging.queue.lanes import Lane, Lanes
from casebridge.messaging.queue.malformed_documents import MalformedDocuments
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment


class QueueStorage:
    """The base of each part. Thread-safe."""

    def __init__(
        self, database: Database, clock: Clock, lease: timedelta, served: ServedEnvironment = EVERY_ENVIRONMENT
    ) -> None:
        self._messages = database.messages
        self._processed = database.processed_messages
        self._received_keys = database.received_keys
        self._clock = clock
        self._lease = lease
        self._malformed = MalformedDocuments(database, clock, lambda document: self.notify([Lane.of(document)]))
        self.lanes = Lanes(database, clock, served)
        self.subscribers: list[Callable[[Iterable[Lane]], None]] = []
        """Functions of this process that are called at once when something was put into lanes."""

    def notify(self, lanes: Iterable[Lane]) -> None:
        """Notify the subscribers of this process, and other processes, that something may be due in these lanes."""
        if notified := set(lanes):
            for subscriber in self.subscribers:
                subscriber(notified)
            self.lanes.notify(notified)

    def without_resurrected(self, claimed: list[Document]) -> list[Document]:
        """The claimed messages without those that were finished before. These are removed.

        A slow source may write a copy of a message after the original was finished.
        """
        finished = {
            document["_id"]
            for document in self._processed.find(
                {"_id": {"$in": [document["_id"] for document in claimed]}}, {"_id": 1}
            )
        }
        if finished:
            self._messages.delete_many({"_id": {"$in": list(finished)}})
        return [document for document in claimed if document["_id"] not in finished]
