"""MeldingQ itself: every change of a message's state, each one atomic write of one document, in batches where many change.

A message is *due* when `dueAt` has passed: its time has come, or the lease of the worker that holds it has run out. One
claim therefore serves new, retried and abandoned messages alike. Every later write names the fence that the claim raised, so a
worker that lost its lease cannot overwrite. Each change filters on the state that it expects and is right when applied twice.

What a message means, which steps it takes and what is owed afterwards is decided elsewhere (`flow`, `worker`); whose turn it is,
in `turns`; effects that are owed are delivered by `relay`.
"""

import contextlib
import math
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pymongo.errors import DuplicateKeyError

from casebridge.clock import Clock
from casebridge.crash_points import crash_point
from casebridge.database import Database, Document, insert_absent
from casebridge.errors import LeaseLostError
from casebridge.messaging.lanes import Lane, Lanes
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
from casebridge.messaging.owed_effects import Debt
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment

KEPT_ERRORS: Final = 20
KEPT_REPLAYS: Final = 20
BROUGHT_BACK_WITHIN: Final = timedelta(days=30)
"""How long a discarded message can be brought back."""
BLOCKED_WAIT: Final = timedelta(seconds=1)
LANE_FIELDS: Final = {"institution": 1, "examSystem": 1, "queue": 1}
ACCEPTED_AT_ONCE: Final = 500
"""Messages of one write; each such batch has a moment of its own, which keeps looks at the oldest ones short."""


@dataclass(frozen=True)
class Finished:
    """A message whose flow is done, and what is to be kept of it."""

    message: Message
    effects: Sequence[OwedEffect] = ()
    forget: Sequence[str] = ()
    """Paths of step results that are no longer needed."""

    @property
    def owed(self) -> tuple[Document, ...]:
        """What it owes from now on; what it owed before, such as the alert of its third attempt, it may owe still."""
        return (*self.message.stored.get("effects", ()), *(effect.document() for effect in self.effects))

    def debt(self, now: datetime, held_until: float) -> Debt:
        message = self.message
        return Debt(message.key, message.correlation_id, now, self.owed, processed=True, held_until=held_until)


@dataclass(frozen=True)
class Moved:
    """What became of messages whose flows are done."""

    lost: set[str]
    """The keys of those that another worker has taken over."""
    debts: list[Debt]
    """What those owe that were written by this very call. Of one that stood there already, because the answer to an earlier try
    was lost, nobody can tell how long ago: another relay may be at it, and finds it by itself."""


@dataclass
class Look:
    """How far one process looks into a lane: the oldest messages first, without reading the whole crowd behind them.

    Some servers read all that matches before they sort; a bound on `dueAt` keeps what matches near to what is wanted.
    """

    lane: Lane
    front: datetime | None = None
    reach: timedelta = timedelta(seconds=1)
    seen: int = 0
    """How many due messages the last look found."""
    drained: bool = False
    """Whether it found fewer than were wanted: nothing more is due."""

    def until(self, now: datetime) -> datetime:
        return now if self.front is None else min(now, self.front + self.reach)

    def found(self, documents: Sequence[Document], wanted: int) -> None:
        """Learn from what was found how far to look the next time."""
        self.seen, self.drained = len(documents), len(documents) < wanted
        if self.drained:
            self.front = None
            return
        self.front = documents[-1]["dueAt"]
        span: timedelta = documents[-1]["dueAt"] - documents[0]["dueAt"]
        self.reach = max(span * 2, self.reach / 4, timedelta(milliseconds=1))


class MeldingQ:
    """The queue. Thread-safe; holds no state but the collections and the clock."""

    def __init__(
        self, database: Database, clock: Clock, lease: timedelta, served: ServedEnvironment = EVERY_ENVIRONMENT
    ) -> None:
        self._messages = database.messages
        self._processed = database.processed_messages
        self._received_keys = database.received_keys
        self._clock = clock
        self._lease = lease
        self.lanes = Lanes(database, clock, served)
        self.woken: list[Callable[[Iterable[Lane]], None]] = []
        """Who in this process wants to hear at once when something was put into a lane."""

    # Accept: into the inbox, once

    def accept(self, messages: Sequence[NewMessage]) -> list[str]:
        """Put into the inbox what was never there; return the keys that were new.

        Message first, key second: a crash in between is repaired by the next read of the source, because the key is absent
        and the message's own unique id refuses the copy. (`returnTrueAndAddToDatabaseIfNotInDatabase` of the source system.)
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
        refused = insert_absent(self._messages, documents)
        crash_point("messages_written")
        insert_absent(
            self._received_keys,
            [
                {"_id": message.key, "firstSeen": now, "queue": message.queue, "correlationId": message.correlation_id}
                for message in candidates.values()
            ],
        )
        crash_point("keys_written")
        self.wake(Lane.of(document) for document in documents)
        return [key for key in candidates if key not in refused]

    def wake(self, lanes: Iterable[Lane]) -> None:
        """Something may be due in these lanes: tell those who wait, here and in other processes."""
        if rung := set(lanes):
            for hear in self.woken:
                hear(rung)
            self.lanes.ring(rung)

    def _known(self, keys: set[str]) -> set[str]:
        return {document["_id"] for document in self._received_keys.find({"_id": {"$in": list(keys)}}, {"_id": 1})}

    # Claim and keep

    def claim(self, owner: str, limit: int, looks: Sequence[Look] | None = None) -> list[Message]:
        """Take up to `limit` due messages for `owner`, oldest first, one a case; charge each an attempt before work starts.

        `looks` are the lanes to serve, each with the same share of `limit`; without them, all lanes there are.
        """
        held_until, now = time.monotonic() + self._lease.total_seconds(), self._clock.now()
        if looks is None:
            looks = [Look(lane) for lane in sorted(self.lanes.search(), key=str)]
        due: list[Document] = []
        for place, look in enumerate(looks):
            share = -(-(limit - len(due)) // (len(looks) - place))
            due += self._due(look, share, now) if share > 0 else []
        messages = self._take(owner, self._first_of_each_case(due, now), now)
        for message in messages:
            message.held_until = held_until
        return messages

    def _due(self, look: Look, wanted: int, now: datetime) -> list[Document]:
        fields = {"orderingKey": 1, "status": 1, "enqueuedAt": 1, "dueAt": 1}
        while True:
            until = look.until(now)
            selection = {**look.lane.selection(), "dueAt": {"$lte": until}}
            found = list(self._messages.find(selection, fields).sort("dueAt", 1).limit(wanted))
            if len(found) == wanted or until == now:
                break
            look.reach *= 4
        look.found(found, wanted)
        return [{"orderingKey": document["_id"], **document} for document in found]

    def _take(self, owner: str, free: list[Document], now: datetime) -> list[Message]:
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

    def keep(self, owner: str, messages: Sequence[Message]) -> None:
        """Heartbeat: the lease of what `owner` still holds runs anew."""
        if not messages:
            return
        held_until = time.monotonic() + self._lease.total_seconds()
        keys = [message.key for message in messages]
        self._messages.update_many(
            {"_id": {"$in": keys}, "owner": owner, "status": MessageStatus.PROCESSING.value},
            {"$set": {"dueAt": self._clock.now() + self._lease}},
        )
        still_ours = {row["_id"] for row in self._messages.find({"_id": {"$in": keys}, "owner": owner}, {"_id": 1})}
        for message in messages:
            message.held_until = held_until if message.key in still_ours else -math.inf

    # Steps and outcomes, all under the fence

    def record_steps(self, message: Message, steps: Mapping[str, StepRecord]) -> None:
        """Write down what steps came to, before the next one begins. Raises `LeaseLostError`."""
        message.steps.update(steps)
        # The lease is the heartbeat's work: a step's record touches no index, which halves its cost on some servers.
        self._change(message, {"$set": {f"steps.{name}": step.document() for name, step in steps.items()}})

    def finish(self, finished: Sequence[Finished], relay_after: timedelta) -> Moved:
        """The flows of these messages are done: written among the processed ones first, removed here after.

        The insert is the state change: what is owed stands in the same document. `relay_after` is how long the relay of this
        process has before any other may deliver it.
        """
        held_until, now = time.monotonic() + relay_after.total_seconds(), self._clock.now()
        lost = self._lost([each.message for each in finished])
        ours = [each for each in finished if each.message.key not in lost]
        if not ours:
            return Moved(lost, [])
        known = insert_absent(self._processed, [_processed_document(each, now, relay_after) for each in ours])
        crash_point("settled")
        self._messages.delete_many({"_id": {"$in": [each.message.key for each in ours]}})
        crash_point("message_removed")
        return Moved(lost, [each.debt(now, held_until) for each in ours if each.owed and each.message.key not in known])

    def _lost(self, messages: Sequence[Message]) -> set[str]:
        """The keys of those that are no longer held under the fence of their claim.

        A worker that freezes between this look and its write, until another has taken over, still tells the truth: all steps
        are done. Whoever holds the message by then finds it among the processed ones.
        """
        held = {
            document["_id"]: document["fence"]
            for document in self._messages.find(
                {"_id": {"$in": [message.key for message in messages]}, "status": MessageStatus.PROCESSING.value},
                {"fence": 1},
            )
        }
        return {
            message.key
            for message in messages
            if held.get(message.key) != message.fence and not self._already_settled(message)
        }

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
        """The attempt came to nothing: `failed` and due again, `dead`, or back to `enqueued` at no cost.

        The steps that it did stay done. Raises `LeaseLostError`.
        """
        if status is MessageStatus.DEAD and self._without_resurrected([message.stored]) == []:
            raise LeaseLostError(message.correlation_id)  # a worker that had been frozen has finished it meanwhile
        now = self._clock.now()
        change: Document = {
            "$set": {
                "status": status.value,
                "attempts": message.attempts if counts else message.attempts - 1,
                "errors": [*message.errors, failure.document()][-KEPT_ERRORS:],
                "settledFence": message.fence,
                **{f"steps.{name}": step.document() for name, step in message.steps.items()},
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
        if not messages:
            return
        self._messages.update_many(
            {
                "_id": {"$in": [message.key for message in messages]},
                "claim": {"$in": list({message.stored["claim"] for message in messages})},
                "status": MessageStatus.PROCESSING.value,
            },
            {
                "$set": {"status": MessageStatus.ENQUEUED.value, "dueAt": self._clock.now()},
                "$unset": {"owner": "", "claim": ""},
                # Right when applied twice: the first application leaves the state that the filter asks for.
                "$inc": {"attempts": -1},
            },
        )
        self.wake(Lane.of(message.stored) for message in messages)

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
        began = self._messages.find({"_id": {"$in": list(chosen)}}, LANE_FIELDS, batch_size=len(chosen) + 1)
        self.wake({Lane.of(document) for document in began})
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
        result = self._messages.delete_many({"_id": {"$in": [document["_id"] for document in documents]}, **selection})
        return result.deleted_count

    def next_due(self, lane: Lane) -> datetime | None:
        """When the next message of a lane is due, or the lease of one in work runs out; `None` if there is none."""
        found = self._messages.find_one(
            {**lane.selection(), "dueAt": {"$gt": LONG_AGO}}, {"dueAt": 1}, sort=[("dueAt", 1)]
        )
        return found["dueAt"] if found else None

    def is_due(self, waited: timedelta, *, passing_over: Iterable[str] = ()) -> bool:
        """Whether some message could be claimed and has waited for that for at least so long."""
        since = {"dueAt": {"$lte": self._clock.now() - waited}}
        keys = frozenset(passing_over)
        lanes = [lane for lane in self.lanes.search() if not lane.is_among(keys)]
        return any(self._messages.find_one({**lane.selection(), **since}, {"_id": 1}) for lane in lanes)

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


def _processed_document(finished: Finished, now: datetime, relay_after: timedelta) -> Document:
    message = finished.message
    document = {name: value for name, value in message.stored.items() if name not in ("dueAt", "owner", "claim")}
    steps = {name: step.document() for name, step in message.steps.items()}
    for path in finished.forget:
        _forget(steps, path.split("."))
    document |= {
        "status": MessageStatus.PROCESSED.value,
        "steps": steps,
        "finishedAt": now,
        "settledFence": message.fence,
        "effects": list(finished.owed),
    }
    if document["effects"]:
        document["effectsDueAt"] = now + relay_after
    return document


def _forget(values: Document, path: Sequence[str]) -> None:
    *parents, last = path
    for parent in parents:
        values = values.get(parent, {})
    values.pop(last, None)
