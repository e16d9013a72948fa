"""What every part of MeldingQ works on: the collections, the clock, the lanes, and the subscribers to them."""

from collections.abc import Callable, Iterable
from datetime import timedelta

from casebridge.clock import Clock
from casebridge.database import Database, Document
from casebridge.messaging.queue.lanes import Lane, Lanes
from casebridge.messaging.queue.malformed_documents import MalformedDocuments
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment


class QueueStorage:
    """The base of each part. Thread-safe; holds no state but the collections and the clock."""

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
        """Called at once, in this process, when something was put into lanes."""

    def notify(self, lanes: Iterable[Lane]) -> None:
        """Something may be due in these lanes: notify the subscribers here, and other processes."""
        if notified := set(lanes):
            for subscriber in self.subscribers:
                subscriber(notified)
            self.lanes.notify(notified)

    def without_resurrected(self, claimed: list[Document]) -> list[Document]:
        """Drop messages that were finished before: a slow source may write a copy after the original was removed."""
        finished = {
            document["_id"]
            for document in self._processed.find(
                {"_id": {"$in": [document["_id"] for document in claimed]}}, {"_id": 1}
            )
        }
        if finished:
            self._messages.delete_many({"_id": {"$in": list(finished)}})
        return [document for document in claimed if document["_id"] not in finished]
