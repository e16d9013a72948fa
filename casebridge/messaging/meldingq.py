"""MeldingQ itself: every change of a message's state, each one atomic update of one document.

A message is *due* when `dueAt` has passed: its time has come, or the lease of the worker that holds it has run out. One
claim therefore serves new, retried and abandoned messages alike. Every later write names the fence that the claim raised, so a
worker that lost its lease cannot overwrite. Each change filters on the state that it expects and is right when applied twice.

What a message means, which steps it takes and what is owed afterwards is decided elsewhere (`flow`, `worker`, `relay`).
"""

import contextlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pymongo.errors import DuplicateKeyError

from casebridge.clock import Clock
from casebridge.crash_points import crash_point
from casebridge.database import Database, Document, insert_absent
from casebridge.errors import LeaseLostError
from casebridge.messaging.message import (
    LONG_AGO,
    UNFINISHED,
    Failure,
    Message,
    MessageStatus,
    NewMessage,
    OwedEffect,
    StepRecord,
)

KEPT_ERRORS = 20
KEPT_REPLAYS = 20
BROUGHT_BACK_WITHIN = timedelta(days=30)
"""How long a discarded message can be brought back."""
BLOCKED_WAIT = timedelta(seconds=1)


class MeldingQ:
    """The queue. Thread-safe; holds no state but the collections and the clock."""

    def __init__(self, database: Database, clock: Clock, lease: timedelta) -> None:
        self._messages = database.messages
        self._processed = database.processed_messages
        self._received_keys = database.received_keys
        self._clock = clock
        self._lease = lease

    # Accept: into the inbox, once

    def accept(self, messages: Sequence[NewMessage]) -> list[str]:
        """Put into the inbox what was never there; return the keys that were new.

        Message first, key second: a crash in between is repaired by the next read of the source, because the key is absent
        and the message's own unique id refuses the copy. (`returnTrueAndAddToDatabaseIfNotInDatabase` of the source system.)
        """
        known = self._known({message.key for message in messages})
        candidates = {message.key: message for message in messages if message.key not in known}
        if not candidates:
            return []
        now = self._clock.now()
        refused = insert_absent(self._messages, [message.document(now) for message in candidates.values()])
        crash_point("messages_written")
        insert_absent(
            self._received_keys,
            [
                {"_id": message.key, "firstSeen": now, "queue": message.queue, "correlationId": message.correlation_id}
                for message in candidates.values()
            ],
        )
        crash_point("keys_written")
        return [key for key in candidates if key not in refused]

    def _known(self, keys: set[str]) -> set[str]:
        return {document["_id"] for document in self._received_keys.find({"_id": {"$in": list(keys)}}, {"_id": 1})}

    # Claim and keep

    def claim(
        self, owner: str, limit: int, *, passing_over: Iterable[str] = (), queues: Sequence[str] = ()
    ) -> list[Message]:
        """Take up to `limit` due messages for `owner`, oldest first, one a case; charge each an attempt before work starts.

        `passing_over` names paused institutions; `queues` limits the claim to some queues.
        """
        now = self._clock.now()
        due = self._due(now, limit, passing_over, queues)
        free = self._first_of_each_case(due, now)
        if not free:
            return []
        token = uuid.uuid4().hex
        keys = [document["_id"] for document in free]
        # Another worker may get a message of the same case first; what we did get bears our token.
        with contextlib.suppress(DuplicateKeyError):
            self._messages.update_many(
                {"_id": {"$in": keys}, "dueAt": {"$lte": now}},
                {
                    "$set": {
                        "status": MessageStatus.PROCESSING.value,
                        "owner": owner,
                        "claim": token,
                        "startedAt": now,
                        "dueAt": now + self._lease,
                    },
                    # Right when applied twice: the second application finds `dueAt` in the future.
                    "$inc": {"fence": 1, "attempts": 1},
                },
            )
        abandoned = {document["_id"] for document in free if document.get("status") == MessageStatus.PROCESSING.value}
        claimed = self._without_resurrected(list(self._messages.find({"_id": {"$in": keys}, "claim": token})))
        if claimed:
            crash_point("claimed")
        messages = [Message.from_document(document) for document in claimed]
        for message in messages:
            message.taken_over = message.key in abandoned
        return messages

    def _due(self, now: datetime, limit: int, passing_over: Iterable[str], queues: Sequence[str]) -> list[Document]:
        selection: Document = {"dueAt": {"$lte": now}}
        if paused := list(passing_over):
            selection["institution"] = {"$nin": paused}
        if queues:
            selection["queue"] = {"$in": list(queues)}
        fields = {"orderingKey": 1, "status": 1, "enqueuedAt": 1}
        found = self._messages.find(selection, fields).sort("dueAt", 1).limit(limit)
        return [{"orderingKey": document["_id"], **document} for document in found]

    def _first_of_each_case(self, due: list[Document], now: datetime) -> list[Document]:
        """The due messages that no earlier unfinished message of their case holds back; the others look again later."""
        if not due:
            return []
        siblings = self._messages.find(
            {
                "orderingKey": {"$in": list({document["orderingKey"] for document in due})},
                "status": {"$in": [status.value for status in UNFINISHED]},
            },
            {"orderingKey": 1, "enqueuedAt": 1, "dueAt": 1, "status": 1},
        )
        first: dict[str, Document] = {}
        for document in siblings:
            current = first.get(document["orderingKey"])
            if current is None or _precedence(document) < _precedence(current):
                first[document["orderingKey"]] = document
        free: list[Document] = []
        blocked: list[Document] = []
        for document in due:
            head = first.get(document["orderingKey"], document)
            (free if head["_id"] == document["_id"] else blocked).append(document)
        self._put_behind(blocked, first, now)
        return free

    def _put_behind(self, blocked: list[Document], first: Mapping[str, Document], now: datetime) -> None:
        """Let blocked messages wait, so that they do not crowd the front of the queue.

        One in work may be done in a moment, whatever its lease; one that waits for its next attempt is waited for.
        """
        for document in blocked:
            until = now + BLOCKED_WAIT
            head = first[document["orderingKey"]]
            if head["status"] != MessageStatus.PROCESSING.value:
                until = max(until, head["dueAt"])
            self._messages.update_one(
                {"_id": document["_id"], "status": document.get("status"), "dueAt": {"$lte": now}},
                {"$set": {"dueAt": until}},
            )

    def _without_resurrected(self, claimed: list[Document]) -> list[Document]:
        """Drop messages that were finished before: a slow source may write a copy after the original has moved on."""
        finished = {
            document["_id"]
            for document in self._processed.find(
                {"_id": {"$in": [document["_id"] for document in claimed]}}, {"_id": 1}
            )
        }
        if finished:
            self._messages.delete_many({"_id": {"$in": list(finished)}})
        return [document for document in claimed if document["_id"] not in finished]

    def keep(self, owner: str, keys: Sequence[str]) -> None:
        """Heartbeat: the lease of what `owner` still holds runs anew."""
        if keys:
            self._messages.update_many(
                {"_id": {"$in": list(keys)}, "owner": owner, "status": MessageStatus.PROCESSING.value},
                {"$set": {"dueAt": self._clock.now() + self._lease}},
            )

    # Steps and outcomes, all under the fence

    def record_step(self, message: Message, name: str, step: StepRecord) -> None:
        """Write down what a step came to, before the next one begins. Raises `LeaseLostError`."""
        message.steps[name] = step
        # The lease is the heartbeat's work: a step's record touches no index, which halves its cost on some servers.
        self._change(message, {"$set": {f"steps.{name}": step.document()}})

    def finish(
        self,
        message: Message,
        steps: Mapping[str, StepRecord],
        effects: Sequence[OwedEffect],
        forget: Sequence[str],
        relay_after: timedelta,
    ) -> None:
        """The flow is done: keep what is owed, forget what is no longer needed (`forget`: paths of step results).

        `relay_after` is how long the relay of this process has before any other may deliver what is owed.
        """
        now = self._clock.now()
        change: Document = {
            "$set": {
                "status": MessageStatus.PROCESSED.value,
                "finishedAt": now,
                "effectsDueAt": now + relay_after,
                "settledFence": message.fence,
                **{f"steps.{name}": step.document() for name, step in steps.items()},
            },
            "$push": {"effects": {"$each": [effect.document() for effect in effects]}},
            "$unset": {"dueAt": "", "owner": "", "claim": "", **{f"steps.{path}": "" for path in forget}},
        }
        self._change(message, change)

    def fail(
        self,
        message: Message,
        status: MessageStatus,
        due_at: datetime | None,
        failure: Failure,
        effects: Sequence[OwedEffect],
        *,
        counts: bool,
    ) -> None:
        """The attempt came to nothing: `failed` and due again, `dead`, or back to `enqueued` at no cost."""
        now = self._clock.now()
        change: Document = {
            "$set": {
                "status": status.value,
                "attempts": message.attempts if counts else message.attempts - 1,
                "errors": [*message.errors, failure.document()][-KEPT_ERRORS:],
                "settledFence": message.fence,
                **message.assumed,
            },
            "$unset": {"owner": "", "claim": ""},
        }
        if due_at is None:
            change["$unset"]["dueAt"] = ""
        else:
            change["$set"]["dueAt"] = due_at
        if effects:
            change["$set"]["effectsDueAt"] = now
            change["$push"] = {"effects": {"$each": [effect.document() for effect in effects]}}
        self._change(message, change)

    def release(self, messages: Sequence[Message]) -> None:
        """Give back what was claimed and not begun, at no cost: a clean shutdown."""
        now = self._clock.now()
        for message in messages:
            self._messages.update_one(
                _held(message),
                {
                    "$set": {"status": MessageStatus.ENQUEUED.value, "attempts": message.attempts - 1, "dueAt": now},
                    "$unset": {"owner": "", "claim": ""},
                },
            )

    def _change(self, message: Message, change: Document) -> None:
        result = self._messages.update_one(_held(message), change)
        if result.matched_count == 0 and not self._already_settled(message):
            raise LeaseLostError(message.correlation_id)

    def _already_settled(self, message: Message) -> bool:
        """Whether the change was ours and had been applied before its answer was lost on the way."""
        document = self._messages.find_one({"_id": message.key}, {"settledFence": 1})
        if document is None:
            document = self._processed.find_one({"_id": message.key}, {"settledFence": 1})
        return document is not None and document.get("settledFence") == message.fence

    # Owed effects

    def claim_owing(self, limit: int, hold: timedelta) -> list[Document]:
        """Messages that owe something and that no relay works on; held from other relays for `hold`."""
        now = self._clock.now()
        keys = [
            document["_id"]
            for document in self._messages.find({"effectsDueAt": {"$lte": now}}, {"_id": 1}).limit(limit)
        ]
        if not keys:
            return []
        token = uuid.uuid4().hex
        self._messages.update_many(
            {"_id": {"$in": keys}, "effectsDueAt": {"$lte": now}},
            {"$set": {"effectsDueAt": now + hold, "relay": token}},
        )
        return list(self._messages.find({"_id": {"$in": keys}, "relay": token}))

    def owing(self, keys: Sequence[str]) -> list[Document]:
        """The messages with these keys, for the relay of the process that has just settled them."""
        return list(self._messages.find({"_id": {"$in": list(keys)}, "effectsDueAt": {"$exists": True}}))

    def effects_delivered(self, key: str, effect_ids: Sequence[str], retry_at: datetime | None) -> None:
        """Strike out what was delivered; `retry_at` says when the rest is due, `None` that nothing is left."""
        change: Document = {"$pull": {"effects": {"id": {"$in": list(effect_ids)}}}}
        if retry_at is not None:
            change["$set"] = {"effectsDueAt": retry_at}
        self._messages.update_one({"_id": key}, change)
        if retry_at is None:
            self._messages.update_one(
                {"_id": key, "effects": {"$size": 0}}, {"$unset": {"effectsDueAt": "", "relay": ""}}
            )

    def move_processed(self, documents: Sequence[Document]) -> None:
        """Move messages that are processed and owe nothing out of the live queue: written there first, removed here after."""
        if not documents:
            return
        settled = [
            {name: value for name, value in document.items() if name not in ("effectsDueAt", "relay", "effects")}
            for document in documents
        ]
        insert_absent(self._processed, settled)
        crash_point("processed_written")
        self._messages.delete_many(
            {"_id": {"$in": [document["_id"] for document in documents]}, "status": MessageStatus.PROCESSED.value}
        )
        crash_point("message_removed")

    # Operators

    def replay(self, chosen: Mapping[str, int], *, from_status: MessageStatus, reason: str, asked_by: str) -> int:
        """Begin messages anew, with all attempts and with the steps that are done; return how many.

        `chosen` says which generation of each message is meant: one that was begun anew meanwhile is left alone.
        """
        now = self._clock.now()
        replayed = 0
        for generation, keys in _by_generation(chosen).items():
            selection: Document = {
                "_id": {"$in": keys},
                "status": from_status.value,
                "generation": _as_stored(generation),
            }
            if from_status is MessageStatus.DISCARDED:
                selection["discardedAt"] = {"$gte": now - BROUGHT_BACK_WITHIN}
            result = self._messages.update_many(
                selection,
                {
                    "$set": {
                        "status": MessageStatus.ENQUEUED.value,
                        "attempts": 0,
                        "dueAt": now,
                        "generation": generation + 1,
                    },
                    # Right when applied twice: the first application leaves the generation that the filter asks for.
                    "$push": {
                        "replays": {"$each": [{"at": now, "by": asked_by, "reason": reason}], "$slice": -KEPT_REPLAYS}
                    },
                    "$unset": {"discardedAt": "", "discardedBy": "", "discardReason": "", "finishedAt": ""},
                },
            )
            replayed += result.modified_count
        return replayed

    def discard(self, chosen: Mapping[str, int], *, reason: str, asked_by: str) -> int:
        """Take dead messages out of every worker's and operator's way; return how many. They stay here to be brought back."""
        now = self._clock.now()
        discarded = 0
        for generation, keys in _by_generation(chosen).items():
            result = self._messages.update_many(
                {"_id": {"$in": keys}, "status": MessageStatus.DEAD.value, "generation": _as_stored(generation)},
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
        """Move out of the live queue what nobody can bring back any more and what owes nothing; return how many.

        A day later than that, so that no replay can be on its way to a message that is being moved.
        """
        before = self._clock.now() - BROUGHT_BACK_WITHIN - timedelta(days=1)
        selection = {
            "status": MessageStatus.DISCARDED.value,
            "discardedAt": {"$lt": before},
            "effectsDueAt": {"$exists": False},
        }
        documents = list(self._messages.find(selection, batch_size=limit).limit(limit))
        if not documents:
            return 0
        insert_absent(self._processed, documents)
        crash_point("processed_written")
        result = self._messages.delete_many({"_id": {"$in": [document["_id"] for document in documents]}, **selection})
        return result.deleted_count

    def is_due(self, waited: timedelta, *, passing_over: Iterable[str] = ()) -> bool:
        """Whether some message could be claimed and has waited for that for at least so long."""
        selection = {"dueAt": {"$lte": self._clock.now() - waited}, "institution": {"$nin": list(passing_over)}}
        return self._messages.find_one(selection, {"_id": 1}) is not None

    def find(self, selection: Document, limit: int = 0) -> list[Document]:
        """Live messages, oldest first: for operators, not for workers."""
        return list(self._messages.find(selection).sort("enqueuedAt", 1).limit(limit))


def _by_generation(chosen: Mapping[str, int]) -> dict[int, list[str]]:
    keys: dict[int, list[str]] = {}
    for key, generation in chosen.items():
        keys.setdefault(generation, []).append(key)
    return keys


def _as_stored(generation: int) -> Document | int:
    """A message that does not say is in its first generation."""
    return generation if generation > 1 else {"$in": [1, None]}


def _held(message: Message) -> Document:
    return {"_id": message.key, "fence": message.fence, "status": MessageStatus.PROCESSING.value}


def _precedence(document: Document) -> tuple[bool, datetime, str]:
    """The one in work first, even before an older one that was replayed meanwhile; else the oldest."""
    is_waiting = document["status"] != MessageStatus.PROCESSING.value
    return is_waiting, document.get("enqueuedAt", LONG_AGO), document["_id"]
