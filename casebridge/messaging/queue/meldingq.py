"""MeldingQ itself: every change of a message's state, each one atomic write of one document, in batches where many change.

A message is *due* when `dueAt` has passed: its time has come, or the lease of the worker that holds it has run out. One
claim therefore serves new, retried and abandoned messages alike. Every later write names the fence that the claim raised, so a
worker that lost its lease cannot overwrite. Each change filters on the state that it expects and is right when applied twice.

What a message means, which steps it takes and what is owed afterwards is decided elsewhere (`flow`, `worker`); whose turn it is,
in `turns`; effects that are owed are delivered by `relay`.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from casebridge.clock import Clock
from casebridge.crash_points import crash_point
from casebridge.database import Database, Document, insert_absent
from casebridge.database_faults import is_away
from casebridge.errors import LeaseLostError
from casebridge.messaging.queue.claims import Claims, LaneScan
from casebridge.messaging.queue.finished import Finished, FinishResult, processed_document
from casebridge.messaging.queue.interventions import Chosen, Interventions
from casebridge.messaging.queue.lanes import Lane, Lanes
from casebridge.messaging.queue.malformed_documents import SMALLEST_DEATH
from casebridge.messaging.queue.message import (
    LONG_AGO,
    UNFINISHED,
    Failure,
    Message,
    MessageStatus,
    NewMessage,
    PendingEffect,
    StepRecord,
    is_key,
    is_text,
    moment_of,
    status_of,
    without_content,
)
from casebridge.messaging.queue.spelling import NAMES, misspelt
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment
from casebridge.telemetry import observer

KEPT_ERRORS: Final = 20
UNKNOWN_WAIT: Final = timedelta(seconds=5)
LANE_FIELDS: Final = dict.fromkeys((*NAMES, "queue"), 1)
ACCEPTED_AT_ONCE: Final = 500
"""Messages of one write; each such batch has a moment of its own, which keeps looks at the oldest ones short."""


class MeldingQ:
    """The queue. Thread-safe; holds no state but the collections and the clock."""

    def __init__(
        self, database: Database, clock: Clock, lease: timedelta, served: ServedEnvironment = EVERY_ENVIRONMENT
    ) -> None:
        self._messages = database.messages
        self._processed = database.processed_messages
        self._received_keys = database.received_keys
        self._clock = clock
        self._claims = Claims(database, clock, lease, self.notify)
        self._interventions = Interventions(database, clock)
        self.lanes = Lanes(database, clock, served)
        self.subscribers: list[Callable[[Iterable[Lane]], None]] = []
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
        """Return the ids that were there. One that the database cannot hold is stored without what it says: it fails in sight."""
        try:
            return insert_absent(self._messages, documents)
        except Exception as error:
            if is_away(error):
                raise
            problem = error
        if len(documents) > 1:
            known = set().union(*(self._store([document]) for document in documents))
            # What the first try wrote was not there before.
            ours = {"_id": {"$in": list(known)}, "enqueuedAt": documents[0]["enqueuedAt"]}
            return known - {document["_id"] for document in self._messages.find(ours, {"_id": 1})}
        return insert_absent(self._messages, [without_content(documents[0], problem)])

    def notify(self, lanes: Iterable[Lane]) -> None:
        """Something may be due in these lanes: tell those who wait, here and in other processes."""
        if notified := set(lanes):
            for notify in self.subscribers:
                notify(notified)
            self.lanes.notify(notified)

    def _known(self, keys: set[str]) -> set[str]:
        return {document["_id"] for document in self._received_keys.find({"_id": {"$in": list(keys)}}, {"_id": 1})}

    # Claim and keep

    def claim(self, owner: str, limit: int, scans: Sequence[LaneScan] | None = None) -> list[Message]:
        """Take up to `limit` due messages for `owner`, oldest first, one a case.

        A fresh claim charges each an attempt before work starts; a message that is taken over costs none (`claims`).
        `scans` are the lanes to serve, each with the same share of `limit`; without them, all lanes there are.
        """
        if scans is None:
            scans = [LaneScan(lane) for lane in sorted(self.lanes.search(), key=str)]
        return self._claims.claim(owner, limit, scans)

    def begin_isolated(self, message: Message) -> None:
        """Before a message with `alone` is run: charge it what its last run alone cost. Raises `LeaseLostError`."""
        self._claims.begin_isolated(message)

    def keep(self, owner: str, messages: Sequence[Message]) -> None:
        """Heartbeat: the lease of what `owner` still holds runs anew."""
        self._claims.keep(owner, messages)

    def release(self, messages: Sequence[Message], wait: timedelta = timedelta()) -> None:
        """Give back what was claimed, at no cost; it is due after `wait`. For a clean shutdown, and when the database is away."""
        if not messages:
            return
        due_at = self._clock.now() + wait
        self._claims.release(messages, due_at)
        if not wait:
            self.notify(Lane.of(message.stored) for message in messages)

    # Steps and outcomes, all under the fence

    def record_steps(self, message: Message, steps: Mapping[str, StepRecord]) -> None:
        """Write down what steps came to, before the next one begins. Raises `LeaseLostError`."""
        message.steps.update(steps)
        # The lease is the heartbeat's work: a step's record touches no index, which halves its cost on some servers.
        self._change(message, {"$set": _steps_written(message, steps)})
        message.assumed.pop("steps", None)  # from now on there is a document

    def finish(self, finished: Sequence[Finished], relay_after: timedelta) -> FinishResult:
        """The flows of these messages are done: written among the processed ones first, removed here after.

        The insert is the state change: what is owed stands in the same document. `relay_after` is how long the relay of this
        process has before any other may deliver it.
        """
        held_until, now = time.monotonic() + relay_after.total_seconds(), self._clock.now()
        lost = self._lost([each.message for each in finished])
        ours = [each for each in finished if each.message.key not in lost]
        if not ours:
            return FinishResult(lost, [])
        known = insert_absent(self._processed, [processed_document(each, now, relay_after) for each in ours])
        crash_point("settled")
        self._messages.delete_many({"_id": {"$in": [each.message.key for each in ours]}})
        crash_point("message_removed")
        return FinishResult(
            lost,
            [each.pending_effects(now, held_until) for each in ours if each.owed and each.message.key not in known],
        )

    def _lost(self, messages: Sequence[Message]) -> set[str]:
        """The keys of those that are no longer held under the fence of their claim.

        A worker that freezes between this look and its write, until another has taken over, still tells the truth: all steps
        are done. Whoever holds the message by then finds it among the processed ones.
        """
        held = {
            document["_id"]: document.get("fence")
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
        effects: Sequence[PendingEffect],
        *,
        counts: bool,
    ) -> None:
        """The attempt came to nothing: `failed` and due again, `dead`, or back to `enqueued` at no cost.

        The steps that it did stay done. Raises `LeaseLostError`.
        """
        if status is MessageStatus.DEAD and self._claims.without_resurrected([message.stored]) == []:
            raise LeaseLostError(message.correlation_id)  # a worker that had been frozen has finished it meanwhile
        now = self._clock.now()
        change: Document = {
            "$set": {
                **message.assumed,
                "status": status.value,
                "attempts": message.attempts if counts else message.attempts - 1,
                "errors": [*message.errors, failure.document()][-KEPT_ERRORS:],
                "settledFence": message.fence,
                **_steps_written(message, message.steps),
            },
            "$unset": {"owner": "", "claim": ""},
        }
        if due_at is None:
            change["$unset"]["dueAt"] = ""
        else:
            change["$set"]["dueAt"] = due_at
        if effects:
            change["$set"]["effectsDueAt"] = now
            owed = [effect.document() for effect in effects]
            if "effects" in message.assumed:
                change["$set"]["effects"] = owed  # what stands there is no list
            else:
                change["$push"] = {"effects": {"$each": owed}}
        self._change(message, change)

    def bury(self, message: Message) -> None:
        """Dead, with nothing said: for one whose document takes no failure. Whoever calls this tells people first.

        Raises `LeaseLostError`.
        """
        self._change(message, SMALLEST_DEATH)

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

    def replay(self, chosen: Sequence[Chosen], *, from_status: MessageStatus, reason: str, asked_by: str) -> int:
        """Begin messages anew, with all attempts and with the steps that are done; return how many.

        `chosen` says which generation of each message is meant: one that was begun anew meanwhile is left alone.
        """
        replayed = self._interventions.replay(chosen, from_status=from_status, reason=reason, asked_by=asked_by)
        keys = [each.key for each in chosen if is_key(each.key)]
        began = self._messages.find({"_id": {"$in": keys}}, LANE_FIELDS, batch_size=len(chosen) + 1)
        self.notify({Lane.of(self._respelt(document)) for document in began})
        return replayed

    def _respelt(self, document: Document) -> Document:
        """A message whose institution an operator corrected has its lane named after it from now on."""
        if right := misspelt(document):
            self._messages.update_one({"_id": document["_id"]}, {"$set": right})
        return {**document, **right}

    def discard(self, chosen: Sequence[Chosen], *, reason: str, asked_by: str) -> int:
        """Take dead messages out of every worker's and operator's way; return how many. They stay here to be brought back."""
        return self._interventions.discard(chosen, reason=reason, asked_by=asked_by)

    def move_discarded(self, limit: int) -> int:
        """Move out of the live queue what nobody can bring back any more and what owes nothing; return how many.

        A day later than that, so that no replay can be on its way to a message that is being moved.
        """
        return self._interventions.move_discarded(limit)

    def next_due(self, lane: Lane) -> datetime | None:
        """When the next message of a lane is due, or the lease of one in work runs out; `None` if there is none."""
        found = self._messages.find_one(
            {**lane.selection(), "dueAt": {"$gt": LONG_AGO}}, {"dueAt": 1}, sort=[("dueAt", 1)]
        )
        if found is None:
            return None
        # What is no time is never due: then nobody knows, and it is looked again in a while.
        return moment_of(found, "dueAt") or self._clock.now() + UNKNOWN_WAIT

    def is_due(self, waited: timedelta, *, passing_over: Iterable[str] = ()) -> bool:
        """Whether some message could be claimed and has waited for that for at least so long."""
        since = {"dueAt": {"$lte": self._clock.now() - waited}}
        keys = frozenset(passing_over)
        lanes = [lane for lane in self.lanes.search() if not lane.is_among(keys)]
        return any(self._messages.find_one({**lane.selection(), **since}, {"_id": 1}) for lane in lanes)

    def at_work(self, ordering_keys: Sequence[str]) -> set[str]:
        """Those of these cases of which a message waits or is in work."""
        unfinished = {"$in": [status.value for status in UNFINISHED]}
        where = {"orderingKey": {"$in": list(ordering_keys)}, "status": unfinished}
        keys = (document["orderingKey"] for document in self._messages.find(where, {"orderingKey": 1}))
        return {key for key in keys if is_text(key)}  # a list that holds one is found, too

    def statuses_of(self, ordering_key: str, queue: str) -> frozenset[MessageStatus]:
        """The statuses of a case's live messages of this queue."""
        found = self._messages.find({"orderingKey": ordering_key}, {"queue": 1, "status": 1})
        return frozenset(
            status for one in found if one.get("queue") == queue and (status := status_of(one)) is not None
        )

    def settled(self, keys: Iterable[str]) -> set[str]:
        """Those of these keys that were received and whose message neither waits, nor is in work, nor is dead."""
        known = self._known(set(keys))
        statuses_of = {status.value for status in (*UNFINISHED, MessageStatus.DEAD)}
        found = self._messages.find({"_id": {"$in": list(known)}}, {"status": 1}) if known else ()
        return known - {document["_id"] for document in found if document.get("status") in statuses_of}

    def find(self, selection: Document, limit: int, fields: Document | None = None) -> list[Document]:
        """Live messages, oldest first: for operators, not for workers. `fields` is the driver's projection."""
        return list(self._messages.find(selection, fields).sort("enqueuedAt", 1).limit(limit))


def _steps_written(message: Message, steps: Mapping[str, StepRecord]) -> Document:
    """What a write sets: these steps. All of them as a whole where no document stands: there is no path into it."""
    if "steps" in message.assumed:
        return {"steps": {name: step.document() for name, step in message.steps.items()}}
    return {f"steps.{name}": step.document() for name, step in steps.items()}


def _held(message: Message) -> Document:
    return {"_id": message.key, "fence": message.fence, "status": MessageStatus.PROCESSING.value}
