"""The effects that settled messages owe: held by one relay at a time, struck out when delivered.

They stand in the message's own document, live (an alert of a failed or dead message) or processed. What they are and how they
are delivered is the business of `effects` and `relay`.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo import UpdateOne
from pymongo.collection import Collection

from casebridge.clock import Clock
from casebridge.database import Database, Document, insert_absent
from casebridge.messaging.message import LONG_AGO, UNKNOWN, MessageStatus

Effect = Mapping[str, Any]
"""An owed effect as it stands in the document: `id`, `kind`, `body`."""


@dataclass(frozen=True)
class Debt:
    """What one message owes. `since` is when it was settled, as far as its document tells."""

    key: str
    correlation_id: str
    since: datetime
    effects: tuple[Effect, ...]
    processed: bool

    @classmethod
    def of(cls, document: Document, *, processed: bool) -> "Debt":
        since = document.get("finishedAt") or document.get("enqueuedAt", LONG_AGO)
        correlation_id = document.get("correlationId", UNKNOWN)
        return cls(document["_id"], correlation_id, since, tuple(document.get("effects", ())), processed)


class OwedEffects:
    """Reads and strikes out owed effects in both collections of the queue."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._messages = database.messages
        self._processed = database.processed_messages
        self._clock = clock

    def claim(self, limit: int, hold: timedelta) -> list[Debt]:
        """Debts that no relay works on, held from other relays for `hold`."""
        live = self._claim(self._messages, limit, hold)
        moved = self._move_processed([row for row in live if row.get("status") == MessageStatus.PROCESSED.value])
        processed = moved + self._claim(self._processed, limit, hold)
        return [Debt.of(row, processed=False) for row in live if row not in moved] + [
            Debt.of(row, processed=True) for row in processed
        ]

    def _claim(self, collection: Collection[Document], limit: int, hold: timedelta) -> list[Document]:
        now = self._clock.now()
        keys = [row["_id"] for row in collection.find({"effectsDueAt": {"$lte": now}}, {"_id": 1}).limit(limit)]
        if not keys:
            return []
        token = uuid.uuid4().hex
        collection.update_many(
            {"_id": {"$in": keys}, "effectsDueAt": {"$lte": now}},
            {"$set": {"effectsDueAt": now + hold, "relay": token}},
        )
        return list(collection.find({"_id": {"$in": keys}, "relay": token}))

    def _move_processed(self, rows: list[Document]) -> list[Document]:
        """Earlier versions left processed messages in the live collection until they owed nothing."""
        if rows:
            insert_absent(self._processed, rows)
            self._messages.delete_many({"_id": {"$in": [row["_id"] for row in rows]}})
        return rows

    def delivered(self, debts: Sequence[Debt], left: Mapping[str, frozenset[str]], retry_at: datetime) -> None:
        """Strike out what was delivered. `left` has, by message, the ids that are still owed and tried again at `retry_at`."""
        for processed in (True, False):
            mine = [debt for debt in debts if debt.processed is processed]
            self._strike_out(mine, left, retry_at, processed=processed)

    def _strike_out(
        self, debts: Sequence[Debt], left: Mapping[str, frozenset[str]], retry_at: datetime, *, processed: bool
    ) -> None:
        collection = self._processed if processed else self._messages
        paid = [debt for debt in debts if not left.get(debt.key)]
        if processed and paid:
            # Nothing is added to a processed message any more.
            collection.update_many(
                {"_id": {"$in": [debt.key for debt in paid]}},
                {"$unset": {"effectsDueAt": "", "relay": ""}, "$set": {"effects": []}},
            )
        changes: list[UpdateOne] = []
        for debt in debts:
            still_owed = left.get(debt.key, frozenset())
            if processed and not still_owed:
                continue
            gone = [effect["id"] for effect in debt.effects if effect["id"] not in still_owed]
            change: Document = {"$pull": {"effects": {"id": {"$in": gone}}}}
            if still_owed:
                change["$set"] = {"effectsDueAt": retry_at}
            changes.append(UpdateOne({"_id": debt.key}, change))
            if not still_owed:
                # A live message may owe something new by now: only one that owes nothing is at rest.
                at_rest = {"_id": debt.key, "effects": {"$size": 0}}
                changes.append(UpdateOne(at_rest, {"$unset": {"effectsDueAt": "", "relay": ""}}))
        if changes:
            collection.bulk_write(changes, ordered=True)
