"""Lists and counts of stored messages for operators. Nothing here changes a message's status."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from casebridge.bounded import BoundedRows, bounded
from casebridge.database import Database, Document
from casebridge.messaging.queue.message import MessageStatus
from casebridge.messaging.queue.message_filter import STORY, MessageFilter
from casebridge.messaging.queue.spelling import respell_all
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment

OF_A_CASE: Final[Document] = {
    **dict.fromkeys(
        ("queue", "status", "orgId", "env", "institution", "examSystem", "enqueuedAt", "dueAt", "attempts", "discardedAt",
         "discardedBy", "discardReason"),
        1,
    ),
    "errors": {"$slice": -1},
}  # fmt: skip
"""The projection for the messages in a case's history."""
AT_ONCE: Final = 5000
"""Rows that a server sends at once. Each has only an identity or a code, so it is small."""


class StoredMessages:
    """Reads `oai.meldingQ`. Thread-safe."""

    def __init__(self, database: Database, served: ServedEnvironment = EVERY_ENVIRONMENT) -> None:
        """Messages of environments that are not `served` are not listed or counted by `rows` and `counts`."""
        self._messages = database.messages
        self._processed = database.processed_messages
        self._served: list[Document] = [{"$match": selection}] if (selection := served.selection()) else []

    def rows(self, wanted: MessageFilter, limit: int, batch_size: int) -> Iterable[Document]:
        """The oldest messages, with the fields `LISTED` and the last error as `LAST`."""
        return self._messages.aggregate(self._ours(wanted.rows(limit)), batchSize=batch_size)

    def counts(self, wanted: MessageFilter) -> Iterable[Document]:
        """How many messages there are of each code, as `_id` and `messages`. Read them one by one and add them up."""
        return self._messages.aggregate(self._ours(wanted.counts()), batchSize=AT_ONCE)

    def _ours(self, stages: list[Document]) -> list[Document]:
        """The stages with the filter of the served environment after the first one, so that the first still uses an index."""
        return [stages[0], *self._served, *stages[1:]]

    def stories(
        self, correlation_id: str, queue: str | None, statuses: Sequence[MessageStatus], limit: int
    ) -> tuple[BoundedRows[Document], int]:
        """A case's messages in these statuses, oldest first, with the fields `STORY`. Also returns how many there are in all."""
        selection: Document = {
            "correlationId": correlation_id,
            "status": {"$in": [status.value for status in statuses]},
            **({"queue": queue} if queue else {}),
        }
        stages: list[Document] = [
            {"$match": selection}, {"$sort": {"enqueuedAt": 1}}, {"$limit": limit}, {"$project": STORY},
        ]  # fmt: skip
        return bounded(self._messages.aggregate(stages), limit), self._messages.count_documents(selection)

    def of_case(self, correlation_id: str, limit: int) -> BoundedRows[Document]:
        """A case's live messages, oldest first, with the fields `OF_A_CASE`."""
        found = self._messages.find({"correlationId": correlation_id}, OF_A_CASE)
        return bounded(found.sort("enqueuedAt", 1).limit(limit + 1), limit)

    def carrying(self, ordering_keys: Iterable[str], statuses: Iterable[MessageStatus]) -> Iterator[Document]:
        """The messages of these cases in these statuses, with `_id` and `orderingKey`, read one by one."""
        selection = {
            "orderingKey": {"$in": list(ordering_keys)},
            "status": {"$in": [status.value for status in statuses]},
        }
        yield from self._messages.find(selection, {"orderingKey": 1}, batch_size=AT_ONCE)

    def knows_case(self, correlation_id: str) -> bool:
        return self._knows({"correlationId": correlation_id})

    def knows_institution(self, institution: str) -> bool:
        return self._knows({"institution": institution})

    def knows_queue(self, queue: str) -> bool:
        return self._knows({"queue": queue})

    def _knows(self, selection: Document) -> bool:
        return self._messages.find_one(selection, {"_id": 1}) is not None

    def respell_names(self) -> int:
        """Bring names of institutions into their one spelling. Returns how many messages were changed (`operators.rekeying`)."""
        return respell_all(self._messages) + respell_all(self._processed)
