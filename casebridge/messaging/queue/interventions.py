"""What operators do with messages that are dead or discarded: replay them, discard them, move out what nobody can bring back.

Which messages are meant is decided in `operators.dead_letters`; here are the changes of state, each right when applied twice.
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
"""How long a discarded message can be brought back."""
MOVED_BYTES: Final = 16 * 1024 * 1024
"""Read and written at once when messages are moved, or one message: their number says nothing of their size."""


class Chosen(NamedTuple):
    """A message that an operator means: its `_id`, and its `generation` as it stands in the document, whatever that is."""

    key: Any
    generation: Any


@dataclass(frozen=True)
class _Group:
    """Messages of one generation: as a filter finds it, and as a number."""

    stored: Document
    number: int
    keys: list[Any]


class Interventions(QueueStorage):
    """Part of `MeldingQ`."""

    def replay(self, chosen: Sequence[Chosen], *, from_status: MessageStatus, reason: str, asked_by: str) -> int:
        """Begin messages anew, with all attempts and with the steps that are done; return how many.

        `chosen` says which generation of each message is meant: one that was begun anew meanwhile is left alone. Raises
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
            anew: Document = {
                "$set": {
                    "status": target(Action.REPLAY),
                    "attempts": 0,
                    "dueAt": now,
                    "generation": group.number + 1,
                },
                "$unset": {"discardedAt": "", "discardedBy": "", "discardReason": "", "finishedAt": ""},
            }
            changes = [
                # Right when applied twice: the first application leaves the generation that the filter asks for.
                {**anew, "$push": {"replays": {"$each": [note], "$slice": -KEPT_REPLAYS}}},
                # Its list of replays is none: it begins with this one.
                {**anew, "$set": {**anew["$set"], "replays": [note]}},
                # It has no room for a note; the audit has it.
                anew,
            ]
            replayed += self._change_chosen({**selection, "generation": group.stored}, group.keys, changes)
        return replayed

    def discard(self, chosen: Sequence[Chosen], *, reason: str, asked_by: str) -> int:
        """Take dead messages out of every worker's and operator's way; return how many. They stay here to be brought back."""
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
        """A message whose institution an operator corrected has its lane named after it from now on."""
        if right := misspelt(document):
            self._messages.update_one({"_id": document["_id"]}, {"$set": right})
        return {**document, **right}

    def _change_chosen(self, selection: Document, keys: list[Any], changes: Sequence[Document]) -> int:
        """Change these messages, each by the first of `changes` that it takes; return how many took one."""
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
        """Move out of the live queue what nobody can bring back any more and what has no pending effects; return how many.

        A day later than that, so that no replay can be on its way to a message that is being moved.
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


def _groups(chosen: Sequence[Chosen]) -> list[_Group]:
    """By what their generation is; what is no key of ours by itself: among others it might be taken for a pattern."""
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
    """A message that does not say is in its first generation; whatever else it says is compared as it stands."""
    if generation is None or (is_count(generation) and generation <= 1):
        return {"$in": [0, 1, None]}
    return {"$eq": generation}
