"""Lanes. A lane has the messages of one tenant in one queue. Each lane gets a share of a claim, so a long lane blocks no other.

- `oai.lanes` has a document for each lane that ever had a message.
- A process that puts something into a lane writes the time into `wokenAt`. Processes that wait see it (`listener.lane_watcher`).
- `listener.lane_scheduler` decides which lanes are scanned next.
- Lanes of an environment that this process does not serve are left alone.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.collection import Collection as MongoCollection
from pymongo.errors import BulkWriteError

from casebridge.clock import Clock
from casebridge.database import Database, Document
from casebridge.messaging.queue.malformed_documents import DATE, MalformedDocuments, due_kind, is_never_found
from casebridge.messaging.queue.message import LONGEST_NAME, is_name, is_text
from casebridge.served_environment import EVERY_ENVIRONMENT, ServedEnvironment
from casebridge.tenant import normal_institution, tenant_key

NAMES: Final = ("institution", "queue", "examSystem")
"""The fields of a message that say in which lane it is."""


@dataclass(frozen=True, order=True)
class Lane:
    """One tenant's messages in one queue. A field is `None` for documents that lack it.

    `exam_system` has three cases:

    - a code: the messages on that exam system;
    - empty (`tenant.NO_EXAM_SYSTEM`): the messages of capabilities without an exam system, a lane of their own;
    - `None`: the document has no such field. Messages of other programs are in this lane. A notification of an earlier version
      means all lanes of the institution and queue (`covers`).
    """

    institution: str | None
    queue: str | None
    exam_system: str | None = None

    @classmethod
    def of(cls, document: Document) -> "Lane":
        return cls(*(_name(document, field) for field in NAMES))

    def selection(self) -> Document:
        return {"institution": self.institution, "examSystem": self.exam_system, "queue": self.queue}

    def is_among(self, keys: Collection[str]) -> bool:
        """Whether these keys of tenants and institutions, such as `Pauses.paused`, include the lane's."""
        return bool(keys) and (
            tenant_key(self.institution, self.exam_system) in keys
            or (self.institution is not None and normal_institution(self.institution) in keys)
        )

    def covers(self, other: "Lane") -> bool:
        """Whether a notification for this lane may mean the other one."""
        return (self.institution, self.queue) == (other.institution, other.queue) and self.exam_system in (
            None,
            other.exam_system,
        )


def _name(document: Document, field: str) -> str | None:
    value = document.get(field)
    return value if is_name(value) else None


class Lanes:
    """Reads and writes `oai.lanes`."""

    def __init__(self, database: Database, clock: Clock, served: ServedEnvironment = EVERY_ENVIRONMENT) -> None:
        self._served = served
        self._messages = database.messages
        self.collection = database.lanes
        self._clock = clock
        self._malformed = MalformedDocuments(database, clock)

    def notify(self, lanes: Iterable[Lane]) -> None:
        """Notify every process that something waits in these lanes. A lost notification costs time, never a message."""
        now = self._clock.now()
        updates = [
            UpdateOne({"_id": lane.selection()}, {"$set": {"wokenAt": now}}, upsert=True)
            for lane in sorted(set(lanes), key=str)
        ]
        try:
            self.collection.bulk_write(updates, ordered=False)
        except BulkWriteError:
            # Two processes created the same lane at once. It exists now.
            self.collection.bulk_write(updates, ordered=False)

    def read(self) -> list[Document]:
        """The documents of all lanes that were ever notified: some hundred small ones at most."""
        return list(self.collection.find())

    def search(self) -> set[Lane]:
        """The served lanes of all messages that are due or will be, notified or not. Some servers read each live message for it.

        Messages that no claim would find are adopted or set aside here, also those of environments that are not served.
        """
        groups = self._groups()
        adopted = self._malformed.adopt() if any(is_never_found(group) for group in groups) else 0
        if self._malformed.respell(groups) + adopted:
            groups = self._groups()
        found = [group for group in groups if group["due"] == DATE and _has_a_name(group)]
        return {lane for group in found if self.serves(lane := Lane.of(group))}

    def serves(self, lane: Lane) -> bool:
        """Whether this process may take messages from the lane."""
        return self._served.serves(lane.institution)

    def _groups(self) -> list[Document]:
        """The lanes, statuses and kinds of due time of all messages.

        Long values are cut here, not by the server: for some servers that would cost five times as much.
        """
        names: Document = {name: f"${name}" for name in (*NAMES, "status")}
        pipeline: list[Document] = [{"$group": {"_id": {**names, "due": due_kind(self._clock.now())}}}]
        return [
            {name: _short(value) for name, value in group["_id"].items()}
            for group in self._messages.aggregate(pipeline)
        ]


def forget_old(lanes: MongoCollection[Document]) -> int:
    """Remove the lanes of earlier versions, which have no exam system and are not notified any more. Returns how many."""
    return lanes.delete_many({"_id.examSystem": {"$exists": False}}).deleted_count


def _short(value: Any) -> Any:
    """A short form of a value, because some hundred groups are in memory. It still shows whether the value is a name."""
    if value is None:
        return None
    return value[: LONGEST_NAME + 1] if is_text(value) else 0


def _has_a_name(group: Document) -> bool:
    return all(group.get(name) is None or is_name(group.get(name)) for name in NAMES)
