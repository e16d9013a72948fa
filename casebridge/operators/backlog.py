"""The numbers of waiting messages by institution and queue. Metrics read them often, so a read is bounded in rows and time."""

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
"""Rows of one reply. More rows would be a fault."""
MOST_OWED: Final = 10_000
"""At most so many messages with pending effects are counted in each collection. Beyond that the exact number does not matter."""
READ_SECONDS: Final = 3.0
"""A read that takes longer is given up; the next one tries again."""


@dataclass
class Waiting:
    """The messages of one lane: those to be handled, those that wait for a person, and those with pending effects (`owed`)."""

    pending: int = 0
    dead: int = 0
    owed: int = 0
    oldest_pending_seconds: float = 0.0


class BacklogReader:
    """Reads the backlog in three queries, however many institutions there are."""

    def __init__(self, database: Database, clock: Clock, names: SafeNames = ALL_NAMES) -> None:
        self._messages = database.messages
        self._processed = database.processed_messages
        self._clock = clock
        self._names = names

    def read(self) -> dict[tuple[str, str, str], Waiting]:
        """The backlog by institution, queue and exam system, with the names that may be shown.

        Raises the driver's errors, after `READ_SECONDS` at the latest.
        """
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
        """Messages with pending effects, due or not. The query uses the sparse index on `effectsDueAt`."""
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
