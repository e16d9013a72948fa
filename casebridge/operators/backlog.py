"""What waits, by institution and queue: read often, for metrics, so each read is bounded in rows and in time."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pymongo

from casebridge.clock import Clock
from casebridge.database import Database, Document
from casebridge.messaging.queue.message import UNFINISHED, MessageStatus
from casebridge.operators import stored_fields
from casebridge.safe_names import ALL_NAMES, SafeNames

MOST_GROUPS: Final = 2000
"""Rows of one reply; more would be a fault of its own."""
MOST_OWED: Final = 10_000
"""So many messages that owe something are counted in each collection; that it is more needs no number."""
READ_SECONDS: Final = 3.0
"""A database that takes longer than this for a read is asked again the next time."""


@dataclass
class Waiting:
    """One lane's messages: those to be handled, those that wait for a person, and those that owe something to the outside."""

    pending: int = 0
    dead: int = 0
    owed: int = 0
    oldest_pending_seconds: float = 0.0


class BacklogReader:
    """Three queries, whatever the number of institutions."""

    def __init__(self, database: Database, clock: Clock, names: SafeNames = ALL_NAMES) -> None:
        self._messages = database.messages
        self._processed = database.processed_messages
        self._clock = clock
        self._names = names

    def read(self) -> dict[tuple[str, str, str], Waiting]:
        """By institution, queue and exam system, as they may be told. Raises the driver's errors, soon."""
        found: dict[tuple[str, str, str], Waiting] = defaultdict(Waiting)
        with pymongo.timeout(READ_SECONDS):
            now = self._clock.now()
            for group in self._by_status():
                _add(found[self._lane(group)], group, now)
            for group in self._owing():
                found[self._lane(group)].owed += group["messages"]
        return dict(found)

    def _by_status(self) -> list[Document]:
        statuses = [status.value for status in (*UNFINISHED, MessageStatus.DEAD)]
        pipeline: list[Document] = [
            {"$match": {"status": {"$in": statuses}}},
            {
                "$group": {
                    "_id": {**_lane_fields(), "status": "$status"},
                    "messages": {"$sum": 1},
                    "oldest": {"$min": "$enqueuedAt"},
                }
            },
            {"$limit": MOST_GROUPS},
        ]
        return list(self._messages.aggregate(pipeline))

    def _owing(self) -> list[Document]:
        """Found by the sparse index on the time at which it is due, whenever that is."""
        pipeline: list[Document] = [
            {"$match": {"effectsDueAt": {"$exists": True}}},
            {"$limit": MOST_OWED},
            {"$group": {"_id": _lane_fields(), "messages": {"$sum": 1}}},
            {"$limit": MOST_GROUPS},
        ]
        return [group for each in (self._messages, self._processed) for group in each.aggregate(pipeline)]

    def _lane(self, group: Document) -> tuple[str, str, str]:
        key = stored_fields.mapping(group, "_id")
        return (
            self._names.institution(key.get("institution")),
            self._names.submodule(key.get("queue")),
            self._names.exam_system(key.get("examSystem")),
        )


def _lane_fields() -> dict[str, Any]:
    return {"institution": "$institution", "queue": "$queue", "examSystem": "$examSystem"}


def _add(waiting: Waiting, group: Document, now: datetime) -> None:
    if stored_fields.text(group["_id"], "status") == MessageStatus.DEAD:
        waiting.dead += group["messages"]
        return
    waiting.pending += group["messages"]
    if oldest := stored_fields.time(group, "oldest"):
        waiting.oldest_pending_seconds = max(waiting.oldest_pending_seconds, (now - oldest).total_seconds())
