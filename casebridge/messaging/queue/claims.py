"""Claims take due messages for a worker, oldest first and one for each case. The leases of claimed messages are kept here, too.

A message is *due* when `dueAt` has passed. For a waiting message `dueAt` is the time of its next attempt. For a message in work
it is the end of its lease. So one claim takes new, retried and abandoned messages alike.

Which claims charge an attempt:

- A claim of a waiting message does.
- Taking over a message whose worker was lost does not. Most messages that a process holds when it dies were only waiting there.
- A message that was lost twice in a row is run alone (`Message.isolated`). It is charged if it was lost while alone before
  (`begin_isolated`). So a message that kills its process uses up its own attempts and no others.
"""

import math
import time
import uuid
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from pymongo.errors import DuplicateKeyError, OperationFailure

from casebridge.clock import is_far_ahead
from casebridge.crash_points import crash_point
from casebridge.database import Document
from casebridge.database_faults import is_away
from casebridge.errors import LeaseLostError
from casebridge.messaging.queue.lane_scan import LaneScan
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.malformed_documents import CLAIM_FIELDS
from casebridge.messaging.queue.message import LONG_AGO, Message, MessageStatus, is_text, moment_of
from casebridge.messaging.queue.storage import QueueStorage
from casebridge.messaging.queue.transitions import Action, source, sources, target

BLOCKED_WAIT: Final = timedelta(seconds=1)
UNKNOWN_WAIT: Final = timedelta(seconds=5)
ISOLATED_FROM: Final = 2
"""After so many takeovers in a row a message is run alone. One is not enough: a worker is mostly killed by something else."""


class Claims(QueueStorage):
    """Part of `MeldingQ`."""

    def claim(self, owner: str, limit: int, scans: Sequence[LaneScan] | None = None) -> list[Message]:
        """Take up to `limit` due messages for `owner`, oldest first and one for each case.

        `scans` are the lanes to serve. Each has the same share of `limit`. Without them all lanes are served.

        1. Find what is due in each lane, by index.
        2. Set aside what no worker can read, and correct what can be corrected (`malformed_documents`).
        3. Leave out messages behind an earlier one of their case.
        4. Write owner, lease and a token into the others, with one `update_many` for each way of charging the attempt.
        5. Read back the messages with the token: another worker may have been faster.
        """
        if scans is None:
            scans = [LaneScan(lane) for lane in sorted(self.lanes.search(), key=str)]
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
            scan.span *= 4
        scan.found(found, wanted)
        return found

    def _take(self, owner: str, unblocked: list[Document], now: datetime) -> list[Message]:
        if not unblocked:
            return []
        token = uuid.uuid4().hex
        keys = [document["_id"] for document in unblocked]
        # The messages that were in work when they were found, with their owners. Their workers were lost.
        in_work = {
            each["_id"]: each.get("owner") for each in unblocked if each["status"] == MessageStatus.PROCESSING.value
        }
        of_others = [key for key, owned_by in in_work.items() if owned_by != owner]
        ours = [key for key, owned_by in in_work.items() if owned_by == owner]
        claim = {
            "status": target(Action.CLAIM),
            "owner": owner,
            "claim": token,
            "startedAt": now,
            "dueAt": now + self._lease,
        }
        # Each may be applied twice: the second application finds `dueAt` in the future.
        for some, change in (
            (
                [key for key in keys if key not in in_work],
                {"$inc": {"fence": 1, "attempts": 1}, "$unset": {"takenOver": "", "alone": ""}},
            ),
            (of_others, {"$inc": {"fence": 1, "takenOver": 1}}),
            # This process is alive: its leases ran out because it could not reach the database.
            (ours, {"$inc": {"fence": 1}, "$unset": {"alone": ""}}),
        ):
            if some:
                self._mark(some, now, {"$set": claim, **change})
        claimed = self.without_resurrected(list(self._messages.find({"_id": {"$in": keys}, "claim": token})))
        if claimed:
            crash_point("claimed")
        messages = [Message.from_document(document) for document in claimed]
        for message in messages:
            message.taken_over = message.key in in_work
            message.isolated = message.stored.get("takenOver", 0) >= ISOLATED_FROM
        return messages

    def _mark(self, keys: list[str], now: datetime, change: Document) -> None:
        """Apply the change to these messages if they are still due. Those that were changed have our token.

        Another worker may have begun a message of the same case first: then the unique index refuses ours.
        """
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
        """Called before a message is run alone. Charges the attempt if its worker was also lost the last time it ran alone.

        Raises `LeaseLostError` if another worker has taken over.
        """
        # `alone` is removed from what the claim found, so a second call for the same claim charges nothing.
        attempts = message.attempts + (1 if message.stored.pop("alone", None) is True else 0)
        result = self._messages.update_one(
            {"_id": message.key, "fence": message.fence, "status": MessageStatus.PROCESSING.value},
            {"$set": {"alone": True, "attempts": attempts}},
        )
        if result.matched_count == 0:
            raise LeaseLostError(message.correlation_id)
        message.attempts = message.stored["attempts"] = attempts

    def _first_of_each_case(self, due: list[Document], now: datetime) -> list[Document]:
        """The due messages that have no earlier unfinished message of their case. The others are made due later."""
        if not due:
            return []
        siblings = self._messages.find(
            {
                "orderingKey": {"$in": list({document["orderingKey"] for document in due})},
                "status": {"$in": sources(Action.CLAIM)},
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
        unblocked: list[Document] = []
        blocked: list[Document] = []
        for document in due:
            head = first.get(document["orderingKey"], document)
            (unblocked if head["_id"] == document["_id"] else blocked).append(document)
        self._put_behind(blocked, first, now)
        return unblocked

    def _put_behind(self, blocked: list[Document], first: Mapping[str, Document], now: datetime) -> None:
        """Make blocked messages due later, so that claims do not find them again and again.

        - Behind a message in work: for a moment. It may be done soon, however long its lease is.
        - Behind a message that waits for its next attempt: until then.
        - Behind a message that is due far ahead: for a moment, because that time is soon corrected (`MalformedDocuments`).
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

    def keep(self, owner: str, messages: Sequence[Message]) -> None:
        """Renew the leases of those messages that `owner` still holds: the heartbeat."""
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

    def release(self, messages: Sequence[Message], wait: timedelta = timedelta()) -> None:
        """Give claimed messages back without charging an attempt. They are due after `wait`.

        For a clean shutdown, when they were not begun; and when the database is away, which is not their fault.
        """
        if not messages:
            return
        self._messages.update_many(
            {
                "_id": {"$in": [message.key for message in messages]},
                "claim": {"$in": list({message.stored["claim"] for message in messages})},
                "status": source(Action.RELEASE),
            },
            {
                "$set": {"status": target(Action.RELEASE), "dueAt": self._clock.now() + wait},
                "$unset": {"owner": "", "claim": ""},
                # May be applied twice: after the first application the filter matches no more.
                "$inc": {"attempts": -1},
            },
        )
        if not wait:
            self.notify(Lane.of(message.stored) for message in messages)

    def next_due(self, lane: Lane) -> datetime | None:
        """When the next message of a lane is due, or the lease of one in work ends. `None` if there is none."""
        found = self._messages.find_one(
            {**lane.selection(), "dueAt": {"$gt": LONG_AGO}}, {"dueAt": 1}, sort=[("dueAt", 1)]
        )
        if found is None:
            return None
        # A `dueAt` that is not a time says nothing: the lane is scanned again after a while.
        return moment_of(found, "dueAt") or self._clock.now() + UNKNOWN_WAIT

    def is_due(
        self, waited: timedelta, *, passing_over: Iterable[str] = (), queues: Container[str] | None = None
    ) -> bool:
        """Whether some message of these queues could be claimed and has been due for at least `waited`.

        `passing_over` are keys of tenants and institutions that are left out. Without `queues` all queues count.
        """
        since = {"dueAt": {"$lte": self._clock.now() - waited}}
        keys = frozenset(passing_over)
        lanes = [
            lane for lane in self.lanes.search() if not lane.is_among(keys) and (queues is None or lane.queue in queues)
        ]
        return any(self._messages.find_one({**lane.selection(), **since}, {"_id": 1}) for lane in lanes)


def _precedence(document: Document) -> tuple[bool, datetime, str]:
    """The sort key within a case. The message in work is first, even before an older one that was replayed; then the oldest."""
    is_waiting = document["status"] != MessageStatus.PROCESSING.value
    return is_waiting, moment_of(document, "enqueuedAt") or LONG_AGO, str(document["_id"])
