"""The effects that settled messages owe: held by one relay at a time, struck out when delivered.

They stand in the message's own document, live (an alert of a failed or dead message) or processed. What they are and how they
are delivered is the business of `effects` and `relay`.
"""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo.collection import Collection

from casebridge.clock import Clock
from casebridge.database import Database, Document, insert_absent
from casebridge.messaging.message import LONG_AGO, UNKNOWN, MessageStatus
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment

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
    held_until: float
    """Until when it is this relay's, on the process's monotonic clock; another may deliver it after that."""

    @property
    def is_held(self) -> bool:
        return time.monotonic() < self.held_until

    @classmethod
    def of(cls, document: Document, held_until: float, *, processed: bool) -> "Debt":
        since = document.get("finishedAt") or document.get("enqueuedAt", LONG_AGO)
        correlation_id = document.get("correlationId", UNKNOWN)
        return cls(document["_id"], correlation_id, since, tuple(document.get("effects", ())), processed, held_until)


class OwedEffects:
    """Reads and strikes out owed effects in both collections of the queue."""

    def __init__(self, database: Database, clock: Clock, served: ServedEnvironment = EVERY_ENVIRONMENT) -> None:
        """Only what the environment that is `served` owes is claimed."""
        self._served = served.selection()
        self._messages = database.messages
        self._processed = database.processed_messages
        self._clock = clock

    def claim(self, limit: int, hold: timedelta) -> list[Debt]:
        """Debts that no relay works on, held from other relays for `hold`."""
        held_until = time.monotonic() + hold.total_seconds()
        live = self._claim(self._messages, limit, hold)
        moved = self._move_processed([row for row in live if row.get("status") == MessageStatus.PROCESSED.value])
        processed = moved + self._claim(self._processed, limit, hold)
        return [Debt.of(row, held_until, processed=False) for row in live if row not in moved] + [
            Debt.of(row, held_until, processed=True) for row in processed
        ]

    def _claim(self, collection: Collection[Document], limit: int, hold: timedelta) -> list[Document]:
        now = self._clock.now()
        due = {"effectsDueAt": {"$lte": now}, **self._served}
        keys = [row["_id"] for row in collection.find(due, {"_id": 1}).limit(limit)]
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

    def strike_out(self, debt: Debt, still_owed: frozenset[str], retry_at: datetime) -> None:
        """Strike out what was delivered. `still_owed` are the ids of the rest, which is tried again at `retry_at`."""
        gone = [effect["id"] for effect in debt.effects if effect["id"] not in still_owed]
        collection = self._processed if debt.processed else self._messages
        if still_owed:
            change = {"$pull": {"effects": {"id": {"$in": gone}}}, "$set": {"effectsDueAt": retry_at}}
            collection.update_one({"_id": debt.key}, change)
        elif debt.processed:
            # Nothing is added to a processed message any more.
            change = {"$set": {"effects": []}, "$unset": {"effectsDueAt": "", "relay": ""}}
            collection.update_one({"_id": debt.key}, change)
        else:
            # A live message may owe something new by now: only one that owes nothing is at rest.
            collection.update_one({"_id": debt.key}, {"$pull": {"effects": {"id": {"$in": gone}}}})
            at_rest = {"_id": debt.key, "effects": {"$size": 0}}
            collection.update_one(at_rest, {"$unset": {"effectsDueAt": "", "relay": ""}})
