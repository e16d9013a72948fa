"""Pending effects of messages. One relay at a time claims them, and removes them when they are delivered.

They are stored in the message's own document: in the live one (an alert of a failed or dead message) or in the processed one.
Announcers decide which effects there are (`effect`), and `relay` delivers them.
"""

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from casebridge.clock import FAR_AHEAD, Clock
from casebridge.database import Database, Document, insert_absent
from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.messaging.queue.message import LONG_AGO, UNKNOWN, MessageStatus, is_effect, moment_of
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment

logger = logging.getLogger(__name__)

PENDING_FIELDS: Final = dict.fromkeys(
    ("effects", "relay", "status", "finishedAt", "enqueuedAt", "correlationId", "institution", "orgId", "queue"), 1
)
"""The fields that are read. `payload` and `origin` are left out: each may have a megabyte."""

Effect = Mapping[str, Any]
"""A pending effect in its stored form: `id`, `kind`, `body`."""


@dataclass(frozen=True)
class PendingEffects:
    """The pending effects of one message. `since` is when it was settled, as far as its document says."""

    key: str
    correlation_id: str
    since: datetime
    effects: tuple[Effect, ...]
    processed: bool
    held_until: float
    """Until when this relay holds them, on the process's monotonic clock. Another relay may deliver them after that."""
    institution: str = UNKNOWN
    org_id: str = UNKNOWN
    queue: str = UNKNOWN
    """Like the two fields above, for the alert about an effect that cannot be delivered."""

    @property
    def is_held(self) -> bool:
        return time.monotonic() < self.held_until

    @classmethod
    def of(cls, document: Document, held_until: float, *, processed: bool) -> "PendingEffects":
        since = moment_of(document, "finishedAt") or moment_of(document, "enqueuedAt") or LONG_AGO
        correlation_id, institution, org_id, queue = (
            value if isinstance(value := document.get(name), str) else UNKNOWN
            for name in ("correlationId", "institution", "orgId", "queue")
        )
        effects = tuple(effect for effect in _listed(document) if is_effect(effect))
        return cls(document["_id"], correlation_id, since, effects, processed, held_until, institution, org_id, queue)


class PendingEffectStore:
    """Reads and removes pending effects in both collections of the queue."""

    def __init__(self, database: Database, clock: Clock, served: ServedEnvironment = EVERY_ENVIRONMENT) -> None:
        """Only effects of the environment `served` are claimed."""
        self._served = served.selection()
        self._messages = database.messages
        self._processed = database.processed_messages
        self._clock = clock

    def claim(self, limit: int, hold: timedelta) -> list[PendingEffects]:
        """Claim the pending effects of at most `limit` messages in each collection. Other relays do not get them for `hold`."""
        held_until = time.monotonic() + hold.total_seconds()
        live = self._claim(self._messages, limit, hold)
        moved = self._move_processed([row for row in live if row.get("status") == MessageStatus.PROCESSED.value])
        processed = moved + self._claim(self._processed, limit, hold)
        return [PendingEffects.of(row, held_until, processed=False) for row in live if row not in moved] + [
            PendingEffects.of(row, held_until, processed=True) for row in processed
        ]

    def make_far_ones_due(self) -> None:
        """Make effects due now that are due later than any release sets: they would never be delivered."""
        now = self._clock.now()
        for collection in (self._messages, self._processed):
            far = {"effectsDueAt": {"$gt": now + FAR_AHEAD}, **self._served}
            collection.update_many(far, {"$set": {"effectsDueAt": now}})

    def _claim(self, collection: Collection[Document], limit: int, hold: timedelta) -> list[Document]:
        now = self._clock.now()
        due = {"effectsDueAt": {"$lte": now}, **self._served}
        keys = [row["_id"] for row in collection.find(due, {"_id": 1}).limit(limit)]
        if not keys:
            return []
        token = uuid.uuid4().hex
        held: Document = {"effectsDueAt": now + hold}
        full: list[Any] = []
        try:
            collection.update_many(
                {"_id": {"$in": keys}, "effectsDueAt": {"$lte": now}}, {"$set": {**held, "relay": token}}
            )
        except OperationFailure as error:
            if is_away(error):
                raise
            full = self._claim_singly(collection, keys, now, held, token)
        rows = list(collection.find({"_id": {"$in": keys}, "relay": token}, PENDING_FIELDS))
        rows += collection.find({"_id": {"$in": full}}, PENDING_FIELDS) if full else []
        for row in rows:
            if not isinstance(row.get("effects", []), list) or not all(is_effect(effect) for effect in _listed(row)):
                try:
                    self._set_malformed_aside(collection, row)
                except OperationFailure as error:
                    if is_away(error):
                        raise
                    log_defect(error)  # its other effects, and those of other messages, must not wait for this
        return rows

    @staticmethod
    def _claim_singly(
        collection: Collection[Document], keys: Sequence[Any], now: datetime, held: Document, token: str
    ) -> list[Any]:
        """Claim documents one by one. Returns the keys of those too full for a token: only their new time holds them."""
        full = []
        for key in keys:
            due = {"_id": {"$eq": key}, "effectsDueAt": {"$lte": now}}
            try:
                collection.update_one(due, {"$set": {**held, "relay": token}})
            except OperationFailure as error:
                if is_away(error):
                    raise
                if collection.update_one(due, {"$set": held}).modified_count:
                    full.append(key)
        return full

    def _set_malformed_aside(self, collection: Collection[Document], row: Document) -> None:
        """Set effects aside that have no form of ours. They cannot be delivered, and must not block the others."""
        stored = row.get("effects")
        malformed = [effect for effect in _listed(row) if not is_effect(effect)]
        if not isinstance(row.get("effects"), list):
            malformed = [row.get("effects")]
        logger.warning("%d effects of a message cannot be read, and are set aside", len(malformed))
        row["effects"] = [effect for effect in _listed(row) if is_effect(effect)]
        collection.update_one(
            {"_id": row["_id"], "effects": {"$eq": stored}},  # nobody has added to it meanwhile
            {"$set": {"effects": row["effects"], "undelivered": malformed, "undeliveredAt": self._clock.now()}},
        )

    def _move_processed(self, rows: list[Document]) -> list[Document]:
        """Move processed messages out of the live collection. Earlier versions left them there while they had pending effects."""
        for row in rows:
            whole = self._messages.find_one({"_id": row["_id"]})
            if whole is not None:
                insert_absent(self._processed, [whole])
                self._messages.delete_one({"_id": row["_id"]})
        return rows

    def acknowledge(
        self,
        pending: PendingEffects,
        still_pending: frozenset[str],
        retry_at: datetime,
        undeliverable: Sequence[Effect] = (),
    ) -> None:
        """Remove the effects that were delivered.

        `still_pending` are the ids of those that were not. They are tried again at `retry_at`. `undeliverable` are effects that
        no channel can ever take. They are moved to the message's `undelivered`.
        """
        removed = [effect["id"] for effect in pending.effects if effect["id"] not in still_pending]
        aside: Document = {}
        marked: Document = {}
        if undeliverable:
            aside = {"$addToSet": {"undelivered": {"$each": [dict(effect) for effect in undeliverable]}}}
            marked = {"undeliveredAt": self._clock.now()}
        collection = self._processed if pending.processed else self._messages
        change: Document
        if still_pending:
            change = {"$pull": {"effects": {"id": {"$in": removed}}}, "$set": {"effectsDueAt": retry_at, **marked}}
            collection.update_one({"_id": pending.key}, {**change, **aside})
        elif pending.processed:
            # Nobody adds effects to a processed message.
            change = {"$set": {"effects": [], **marked}, "$unset": {"effectsDueAt": "", "relay": ""}}
            collection.update_one({"_id": pending.key}, {**change, **aside})
        else:
            # A live message may have a new effect by now. Its time is removed only if it has none.
            change = {"$pull": {"effects": {"id": {"$in": removed}}}, **({"$set": marked} if marked else {})}
            collection.update_one({"_id": pending.key}, {**change, **aside})
            without_effects = {"_id": pending.key, "effects": {"$size": 0}}
            collection.update_one(without_effects, {"$unset": {"effectsDueAt": "", "relay": ""}})


def _listed(document: Document) -> list[Any]:
    effects = document.get("effects")
    return effects if isinstance(effects, list) else []
