"""What operators do with messages: replay them, discard them, and move out those that nobody can bring back.

`operators.dead_letters` decides which messages are meant. Here are the changes of state. Each may be applied twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple

import bson
from pymongo.errors import OperationFailure

from casebridge.database import Document, insert_absent
from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.message import MessageStatus, is_count, is_key
from casebridge.messaging.queue.spelling import NAMES, misspelt
from casebridge.messaging.queue.storage import QueueStorage
from casebridge.messaging.queue.transitions import Action, source, target

KEPT_REPLAYS: Final = 20
LANE_FIELDS: Final = dict.fromkeys((*NAMES, "queue"), 1)
BROUGHT_BACK_WITHIN: Final = timedelta(days=30)
"""How long after its discard a message can be replayed."""
MOVED_BYTES: Final = 16 * 1024 * 1024
"""Bytes that are moved at once, or one message if it is larger. A bound on the number of messages would not bound their size."""


class Chosen(NamedTuple):
    """A message that an operator chose: its `_id`, and its `generation` as stored, which may be of any type."""

    key: Any
    generation: Any


@dataclass(frozen=True)
class _Group:
    """Messages of one generation. `stored` is the filter that finds the generation, `number` its number."""

    stored: Document
    number: int
    keys: list[Any]


class Interventions(QueueStorage):
    """Part of `MeldingQ`."""

    def replay(self, chosen: Sequence[Chosen], *, from_status: MessageStatus, reason: str, asked_by: str) -> int:
        """Start messages again with all attempts. Finished steps are kept. Returns how many were replayed.

        `chosen` has the generation of each message, so a message that was replayed meanwhile is left alone. Raises
        `IllegalTransitionError` for a status from which nothing is replayed.
        """
        replayed = self._replay(chosen, from_status, reason, asked_by)
        keys = [each.key for each in chosen if is_key(each.key)]
        began = self._messages.find({"_id": {"$in": keys}}, LANE_FIELDS, batch_size=len(chosen) + 1)
        self.notify({Lane.of(self._respelt(document)) for document in began})
        return replayed

    def _replay(self, chosen: Sequence[Chosen], from_status: MessageStatus, reason: str, asked_by: str) -> int:
        now = self._clock.now()
        selection: Document = {"status": source(Action.REPLAY, from_status)}
        if from_status is MessageStatus.DISCARDED:
            selection["discardedAt"] = {"$gte": now - BROUGHT_BACK_WITHIN}
        note = {"at": now, "by": asked_by, "reason": reason}
        replayed = 0
        for group in _groups(chosen):
            restart: Document = {
                "$set": {
                    "status": target(Action.REPLAY),
                    "attempts": 0,
                    "dueAt": now,
                    "generation": group.number + 1,
                },
                "$unset": {"discardedAt": "", "discardedBy": "", "discardReason": "", "finishedAt": ""},
            }
            changes = [
                # May be applied twice: the first application changes the generation, so the filter matches no more.
                {**restart, "$push": {"replays": {"$each": [note], "$slice": -KEPT_REPLAYS}}},
                # If the stored `replays` is not a list: it is replaced by a new one.
                {**restart, "$set": {**restart["$set"], "replays": [note]}},
                # If the document has no room for a note: the audit has it.
                restart,
            ]
            replayed += self._change_chosen({**selection, "generation": group.stored}, group.keys, changes)
        return replayed

    def discard(self, chosen: Sequence[Chosen], *, reason: str, asked_by: str) -> int:
        """Mark dead messages as discarded. Returns how many. They stay in this collection, so that they can be replayed."""
        now = self._clock.now()
        gone = {"status": target(Action.DISCARD), "discardedAt": now}
        full = {**gone, "discardedBy": asked_by, "discardReason": reason, "finishedAt": now}
        return sum(
            self._change_chosen(
                {"status": source(Action.DISCARD), "generation": group.stored},
                group.keys,
                [{"$set": full}, {"$set": gone}, {"$set": {"status": gone["status"]}}],
            )
            for group in _groups(chosen)
        )

    def _respelt(self, document: Document) -> Document:
        """Correct the spelling of a message's names: an operator may have changed its institution. Returns the new document."""
        if right := misspelt(document):
            self._messages.update_one({"_id": document["_id"]}, {"$set": right})
        return {**document, **right}

    def _change_chosen(self, selection: Document, keys: list[Any], changes: Sequence[Document]) -> int:
        """Apply to each message the first of `changes` that its document takes. Returns how many were changed."""
        first, *others = changes
        which = {"$in": keys} if len(keys) > 1 else {"$eq": keys[0]}
        try:
            return self._messages.update_many({**selection, "_id": which}, first).modified_count
        except OperationFailure as error:
            if is_away(error):
                raise
            if len(keys) > 1:
                return sum(self._change_chosen(selection, [key], changes) for key in keys)
            if not others:
                log_defect(error)
                return 0
        return self._change_chosen(selection, keys, others)

    def move_discarded(self, limit: int) -> int:
        """Move discarded messages out of the live queue that can no longer be replayed and have no pending effects.

        Returns how many. They are moved a day after the time for replays, so that no replay can concern a message that is
        being moved.
        """
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
        # Read one by one, so that no more is in memory than is written at once.
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


def _groups(chosen: Sequence[Chosen]) -> list[_Group]:
    """The messages by generation. A key that is not one of ours has its own group: in a list it might be taken for a pattern."""
    groups: list[_Group] = []
    alone: list[_Group] = []
    for key, generation in chosen:
        stored = _as_stored(generation)
        known = next((group for group in groups if group.stored == stored), None)
        if known is not None and is_key(key):
            known.keys.append(key)
        else:
            number = int(generation) if is_count(generation) and generation > 1 else 1
            (groups if is_key(key) else alone).append(_Group(stored, number, [key]))
    return groups + alone


def _as_stored(generation: Any) -> Document:
    """The filter for a generation. A message without one is in its first. Any other value is compared as it is stored."""
    if generation is None or (is_count(generation) and generation <= 1):
        return {"$in": [0, 1, None]}
    return {"$eq": generation}
