"""The inbox of MeldingQ. A message is stored once, however often a source sends it."""

from collections.abc import Sequence
from typing import Final

from casebridge.crash_points import crash_point
from casebridge.database import Document, insert_absent
from casebridge.database_faults import is_away
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.message import NewMessage, without_content
from casebridge.messaging.queue.storage import QueueStorage
from casebridge.telemetry import observer

ACCEPTED_AT_ONCE: Final = 500
"""Messages of one write. Each batch has its own time, which keeps scans for the oldest messages short."""


class Inbox(QueueStorage):
    """Part of `MeldingQ`."""

    def accept(self, messages: Sequence[NewMessage]) -> list[str]:
        """Put the messages into the inbox that were never there. Returns their keys.

        The message is written first, its key second. After a crash in between, the next read of the source sends the message
        again. Its key is absent, but its unique id refuses the copy. (`returnTrueAndAddToDatabaseIfNotInDatabase` of the source
        system.)
        """
        unique = list({message.key: message for message in messages}.values())
        new: list[str] = []
        for start in range(0, len(unique), ACCEPTED_AT_ONCE):
            new += self._accept(unique[start : start + ACCEPTED_AT_ONCE])
        return new

    def _accept(self, messages: Sequence[NewMessage]) -> list[str]:
        known = self._known({message.key for message in messages})
        candidates = {message.key: message for message in messages if message.key not in known}
        if not candidates:
            return []
        now = self._clock.now()
        documents = [message.document(now) for message in candidates.values()]
        refused = self._store(documents)
        crash_point("messages_written")
        insert_absent(
            self._received_keys,
            [
                {"_id": message.key, "firstSeen": now, "queue": message.queue, "correlationId": message.correlation_id}
                for message in candidates.values()
            ],
        )
        crash_point("keys_written")
        self.notify(Lane.of(document) for document in documents)
        new = [key for key in candidates if key not in refused]
        observer().accepted([candidates[key] for key in new], now)
        return new

    def _store(self, documents: list[Document]) -> set[str]:
        """Insert the documents that are absent. Returns the ids that were there already.

        A message that the database cannot store is stored without its content, so that people see it fail.
        """
        try:
            return insert_absent(self._messages, documents)
        except Exception as error:
            if is_away(error):
                raise
            problem = error
        if len(documents) > 1:
            known = set().union(*(self._store([document]) for document in documents))
            # Messages that the first try wrote are new, although the second try found them.
            ours = {"_id": {"$in": list(known)}, "enqueuedAt": documents[0]["enqueuedAt"]}
            return known - {document["_id"] for document in self._messages.find(ours, {"_id": 1})}
        return insert_absent(self._messages, [without_content(documents[0], problem)])

    def _known(self, keys: set[str]) -> set[str]:
        return {document["_id"] for document in self._received_keys.find({"_id": {"$in": list(keys)}}, {"_id": 1})}
