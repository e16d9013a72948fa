"""Claims: taking due messages for a worker, oldest first, one a case; and the leases of what was taken.

A fresh claim charges an attempt. Taking over a message whose worker was lost costs none: it had not failed, and most of
what a process has in hand when it dies was only waiting there. Whatever was lost twice in a row is run alone
(`Message.isolated`), and only what is lost while it was alone is charged (`begin_isolated`): so a message that kills its
process uses up its own attempts and nobody else's, and no claim costs a write more.
"""

import math
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pymongo.errors import DuplicateKeyError, OperationFailure

from casebridge.clock import Clock, is_far_ahead
from casebridge.crash_points import crash_point
from casebridge.database import Database, Document
from casebridge.database_faults import is_away
from casebridge.errors import LeaseLostError
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.malformed_documents import CLAIM_FIELDS, MalformedDocuments
from casebridge.messaging.queue.message import LONG_AGO, UNFINISHED, Message, MessageStatus, is_text, moment_of

BLOCKED_WAIT: Final = timedelta(seconds=1)
ISOLATED_FROM: Final = 2
"""So often in a row a message is taken over before it is run alone: a kill of its worker is most often no fault of any
message."""


@dataclass
class LaneScan:
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
        times = [moment for document in documents if (moment := moment_of(document, "dueAt")) is not None]
        if not times:
            self.front = None
            return
        self.front = times[-1]
        self.reach = max((times[-1] - times[0]) * 2, self.reach / 4, timedelta(milliseconds=1))


class Claims:
    """Part of `MeldingQ`. Thread-safe; holds no state but the collections and the clock."""

    def __init__(
        self, database: Database, clock: Clock, lease: timedelta, notify: Callable[[Iterable[Lane]], None]
    ) -> None:
        """`notify` is told of lanes into which a message was put."""
        self._messages = database.messages
        self._processed = database.processed_messages
        self._malformed = MalformedDocuments(database, clock, lambda document: notify([Lane.of(document)]))
        self._clock = clock
        self._lease = lease

    def claim(self, owner: str, limit: int, scans: Sequence[LaneScan]) -> list[Message]:
        """Take up to `limit` due messages of these lanes for `owner`; each lane has the same share of it."""
        held_until, now = time.monotonic() + self._lease.total_seconds(), self._clock.now()
        due: list[Document] = []
        for place, scan in enumerate(scans):
            share = -(-(limit - len(due)) // (len(scans) - place))
            due += self._due(scan, share, now) if share > 0 else []
        due = self._malformed.claimable(due, now)
        messages = self._take(owner, self._first_of_each_case(due, now), now)
        for message in messages:
            message.held_until = held_until
        return messages

    def _due(self, scan: LaneScan, wanted: int, now: datetime) -> list[Document]:
        while True:
            until = scan.until(now)
            selection = {**scan.lane.selection(), "dueAt": {"$lte": until}}
            found = list(self._messages.find(selection, CLAIM_FIELDS).sort("dueAt", 1).limit(wanted))
            if len(found) == wanted or until == now:
                break
            scan.reach *= 4
        scan.found(found, wanted)
        return found

    def _take(self, owner: str, free: list[Document], now: datetime) -> list[Message]:
        if not free:
            return []
        token = uuid.uuid4().hex
        keys = [document["_id"] for document in free]
        # Each message as it was found: whether it counts as lost, and of whom, depends on it.
        lost = {each["_id"]: each.get("owner") for each in free if each["status"] == MessageStatus.PROCESSING.value}
        of_others = [key for key, whose in lost.items() if whose != owner]
        ours = [key for key, whose in lost.items() if whose == owner]
        claim = {
            "status": MessageStatus.PROCESSING.value,
            "owner": owner,
            "claim": token,
            "startedAt": now,
            "dueAt": now + self._lease,
        }
        # All are right when applied twice: the second application finds `dueAt` in the future.
        for some, change in (
            (
                [key for key in keys if key not in lost],
                {"$inc": {"fence": 1, "attempts": 1}, "$unset": {"takenOver": "", "alone": ""}},
            ),
            (of_others, {"$inc": {"fence": 1, "takenOver": 1}}),
            # This process lives: what it lost, it lost because it could not reach the database.
            (ours, {"$inc": {"fence": 1}, "$unset": {"alone": ""}}),
        ):
            if some:
                self._mark(some, now, {"$set": claim, **change})
        claimed = self.without_resurrected(list(self._messages.find({"_id": {"$in": keys}, "claim": token})))
        if claimed:
            crash_point("claimed")
        messages = [Message.from_document(document) for document in claimed]
        for message in messages:
            message.taken_over = message.key in lost
            message.isolated = message.stored.get("takenOver", 0) >= ISOLATED_FROM
        return messages

    def _mark(self, keys: list[str], now: datetime, change: Document) -> None:
        """Another worker may get a message of the same case first; what we did get bears our token."""
        try:
            self._messages.update_many({"_id": {"$in": keys}, "dueAt": {"$lte": now}}, change)
        except DuplicateKeyError:
            pass
        except OperationFailure as error:
            if is_away(error):
                raise
            for key in keys:
                if len(keys) > 1:
                    self._mark([key], now, change)
                else:
                    self._malformed.set_aside({"_id": key, "dueAt": {"$lte": now}}, ["some field"])

    def begin_isolated(self, message: Message) -> None:
        """Called before a message is run with nothing beside it: charge the attempt if it was lost the last time, too.

        Raises `LeaseLostError`.
        """
        # What the claim found: once for each claim, also if this is called again.
        attempts = message.attempts + (1 if message.stored.pop("alone", None) is True else 0)
        result = self._messages.update_one(
            {"_id": message.key, "fence": message.fence, "status": MessageStatus.PROCESSING.value},
            {"$set": {"alone": True, "attempts": attempts}},
        )
        if result.matched_count == 0:
            raise LeaseLostError(message.correlation_id)
        message.attempts = message.stored["attempts"] = attempts

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
            if not is_text(case := document.get("orderingKey")):
                continue
            current = first.get(case)
            if current is None or _precedence(document) < _precedence(current):
                first[case] = document
        free: list[Document] = []
        blocked: list[Document] = []
        for document in due:
            head = first.get(document["orderingKey"], document)
            (free if head["_id"] == document["_id"] else blocked).append(document)
        self._put_behind(blocked, first, now)
        return free

    def _put_behind(self, blocked: list[Document], first: Mapping[str, Document], now: datetime) -> None:
        """Let blocked messages wait, so that they do not crowd the front of the queue.

        One in work may be done in a moment, whatever its lease; one that waits for its next attempt is waited for. One that is
        due only far ahead is soon adopted (`MalformedDocuments`).
        """
        for document in blocked:
            until = now + BLOCKED_WAIT
            head = first[document["orderingKey"]]
            due = moment_of(head, "dueAt")
            if head["status"] != MessageStatus.PROCESSING.value and due is not None and not is_far_ahead(due, now):
                until = max(until, due)
            self._messages.update_one(
                {"_id": document["_id"], "status": document.get("status"), "dueAt": {"$lte": now}},
                {"$set": {"dueAt": until}},
            )

    def without_resurrected(self, claimed: list[Document]) -> list[Document]:
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

    def release(self, messages: Iterable[Message], due_at: datetime) -> None:
        """Give back what was claimed, at no cost: it was not begun, or what stopped it is nobody's fault."""
        messages = list(messages)
        self._messages.update_many(
            {
                "_id": {"$in": [message.key for message in messages]},
                "claim": {"$in": list({message.stored["claim"] for message in messages})},
                "status": MessageStatus.PROCESSING.value,
            },
            {
                "$set": {"status": MessageStatus.ENQUEUED.value, "dueAt": due_at},
                "$unset": {"owner": "", "claim": ""},
                # Right when applied twice: the first application leaves the state that the filter asks for.
                "$inc": {"attempts": -1},
            },
        )


def _precedence(document: Document) -> tuple[bool, datetime, str]:
    """The one in work first, even before an older one that was replayed meanwhile; else the oldest."""
    is_waiting = document["status"] != MessageStatus.PROCESSING.value
    return is_waiting, moment_of(document, "enqueuedAt") or LONG_AGO, str(document["_id"])
