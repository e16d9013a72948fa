"""What operators do with messages that stand still: begin them anew, discard them, move out what nobody can bring back.

Which messages are meant is decided in `operators.dead_letters`; here are the changes of state, each right when applied twice.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import bson
from pymongo.errors import OperationFailure

from casebridge.clock import Clock
from casebridge.database import Database, Document, insert_absent
from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.messaging.message import MessageStatus, is_count

KEPT_REPLAYS: Final = 20
BROUGHT_BACK_WITHIN: Final = timedelta(days=30)
"""How long a discarded message can be brought back."""
MOVED_BYTES: Final = 16 * 1024 * 1024
"""Read and written at once when messages are moved, or one message: their number says nothing of their size."""


class Interventions:
    """Part of `MeldingQ`. Thread-safe."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._messages = database.messages
        self._processed = database.processed_messages
        self._clock = clock

    def replay(self, chosen: Mapping[str, Any], *, from_status: MessageStatus, reason: str, asked_by: str) -> int:
        """As `MeldingQ.replay`, without the ring."""
        now = self._clock.now()
        selection: Document = {"status": from_status.value}
        if from_status is MessageStatus.DISCARDED:
            selection["discardedAt"] = {"$gte": now - BROUGHT_BACK_WITHIN}
        word = {"at": now, "by": asked_by, "reason": reason}
        return sum(
            self._begin_anew({**selection, "generation": stored}, keys, generation + 1, word, now)
            for stored, generation, keys in _by_generation(chosen)
        )

    def _begin_anew(self, selection: Document, keys: list[str], generation: int, word: Document, now: datetime) -> int:
        change: Document = {
            "$set": {
                "status": MessageStatus.ENQUEUED.value,
                "attempts": 0,
                "dueAt": now,
                "generation": generation,
            },
            # Right when applied twice: the first application leaves the generation that the filter asks for.
            "$push": {"replays": {"$each": [word], "$slice": -KEPT_REPLAYS}},
            "$unset": {"discardedAt": "", "discardedBy": "", "discardReason": "", "finishedAt": ""},
        }
        try:
            return self._messages.update_many({**selection, "_id": {"$in": keys}}, change).modified_count
        except OperationFailure as error:
            if is_away(error):
                raise
        if len(keys) > 1:
            return sum(self._begin_anew(selection, [key], generation, word, now) for key in keys)
        # Its list of replays is none: it begins with this one.
        change["$set"]["replays"] = [word]
        del change["$push"]
        try:
            return self._messages.update_many({**selection, "_id": {"$in": keys}}, change).modified_count
        except OperationFailure as error:
            if is_away(error):
                raise
            log_defect(error)
            return 0

    def discard(self, chosen: Mapping[str, Any], *, reason: str, asked_by: str) -> int:
        """As `MeldingQ.discard`."""
        now = self._clock.now()
        discarded = 0
        for stored, _, keys in _by_generation(chosen):
            result = self._messages.update_many(
                {"_id": {"$in": keys}, "status": MessageStatus.DEAD.value, "generation": stored},
                {
                    "$set": {
                        "status": MessageStatus.DISCARDED.value,
                        "discardedAt": now,
                        "discardedBy": asked_by,
                        "discardReason": reason,
                        "finishedAt": now,
                    }
                },
            )
            discarded += result.modified_count
        return discarded

    def move_discarded(self, limit: int) -> int:
        """As `MeldingQ.move_discarded`."""
        before = self._clock.now() - BROUGHT_BACK_WITHIN - timedelta(days=1)
        selection = {
            "status": MessageStatus.DISCARDED.value,
            "discardedAt": {"$lt": before},
            "effectsDueAt": {"$exists": False},
        }
        keys = [row["_id"] for row in self._messages.find(selection, {"_id": 1}, batch_size=limit).limit(limit)]
        if not keys:
            return 0
        moved = 0
        batch: list[Document] = []
        size = 0
        # One by one from the server, so that no more is in memory than is written at once.
        for document in self._messages.find({"_id": {"$in": keys}, **selection}, batch_size=max(2, len(keys) + 1)):
            batch.append(document)
            size += len(bson.encode(document))
            if size > MOVED_BYTES:
                moved += self._move(batch, selection)
                batch, size = [], 0
        return moved + self._move(batch, selection)

    def _move(self, documents: list[Document], selection: Document) -> int:
        if not documents:
            return 0
        insert_absent(self._processed, documents)
        return self._messages.delete_many(
            {"_id": {"$in": [document["_id"] for document in documents]}, **selection}
        ).deleted_count


def _by_generation(chosen: Mapping[str, Any]) -> list[tuple[Any, int, list[str]]]:
    """What `generation` is in the documents, as a filter; the number that it stands for; the keys."""
    groups: list[tuple[Any, int, list[str]]] = []
    for key, stored in chosen.items():
        for known, _, keys in groups:
            if known == _as_stored(stored):
                keys.append(key)
                break
        else:
            groups.append((_as_stored(stored), int(stored) if is_count(stored) else 1, [key]))
    return groups


def _as_stored(generation: Any) -> Any:
    """A message that does not say is in its first generation."""
    if not is_count(generation) and generation is not None:
        return {"$eq": generation}
    return generation if generation is not None and generation > 1 else {"$in": [1, None]}
