"""Which live messages are meant, and which of their fields are read: the aggregations that operators' questions need.

What is read holds no payload and no result of a step. Either may be large, and either may hold personal data.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from casebridge.database import Document
from casebridge.messaging.queue.message import UNKNOWN, MessageStatus
from casebridge.tenant import normal_institution

LAST: Final = "lastError"
"""The field under which `MessageFilter.rows` has the last error of a message."""
LAST_ERROR: Final[Document] = {
    "$cond": [{"$isArray": "$errors"}, {"$arrayElemAt": [{"$ifNull": ["$errors", []]}, -1]}, None]
}
"""The last error of a message in an aggregation, also where `errors` is no list."""
STEPS: Final[Document] = {
    "$cond": [
        {"$eq": [{"$type": "$steps"}, "object"]},
        {
            "$map": {
                "input": {"$objectToArray": "$steps"},
                "as": "step",
                "in": {"name": "$$step.k", "at": "$$step.v.at", "milliseconds": "$$step.v.milliseconds"},
            }
        },
        [],
    ]
}
"""The steps of a message in an aggregation, without their results: a list, and an empty one where `steps` is no document."""
COORDINATES: Final = ("topic", "partition", "offset")
"""Where a Kafka record stood: what is read of a message's origin."""
LISTED: Final = (
    "queue", "status", "orgId", "env", "institution", "examSystem", "orderingKey", "correlationId", "enqueuedAt", "attempts",
    "generation", *(f"origin.{name}" for name in COORDINATES),
)  # fmt: skip
"""The fields of a message in a list."""
STORY: Final[Document] = {
    **dict.fromkeys(
        (*LISTED, "errors", "replays", "replayedAt", "replayedBy", "replayReason", "discardedAt", "discardedBy", "discardReason"),
        1,
    ),
    "steps": STEPS,
}  # fmt: skip
"""The projection of everything that an operator may see of one message."""


@dataclass(frozen=True)
class MessageFilter:
    """Messages in one status. An absent field means any. Code and time are those of the last error only."""

    status: MessageStatus
    institution: str | None = None
    queue: str | None = None
    code: str | None = None
    correlation_id: str | None = None
    since: datetime | None = None
    before: datetime | None = None

    def rows(self, limit: int) -> list[Document]:
        """The stages of an aggregation that finds the oldest messages, each with its last error under `LAST`.

        The first stage is answered by an index: a message whose last error has a code has that code among its errors. The last
        error itself is compared after that. So no message needs a field of its own for it, whichever release wrote it.
        """
        last: Document = {LAST: LAST_ERROR}
        narrow: list[Document] = [{"$match": self._narrow()}, {"$sort": {"enqueuedAt": 1, "_id": 1}}]
        shown: Document = {"$project": {**dict.fromkeys(LISTED, 1), **last}}
        if exact := self._exact():
            return [*narrow, {"$addFields": last}, {"$match": exact}, {"$limit": limit}, shown]
        return [*narrow, {"$limit": limit}, shown]

    def counts(self) -> list[Document]:
        """The stages of an aggregation that counts all of them by code, as `_id` and `messages`."""
        last: Document = {"$project": {LAST: LAST_ERROR}}
        exact = self._exact()
        group: Document = {"$group": {"_id": f"${LAST}.code", "messages": {"$sum": 1}}}
        return [{"$match": self._narrow()}, last, *([{"$match": exact}] if exact else []), group]

    def _narrow(self) -> Document:
        wanted = {
            "status": self.status.value,
            "institution": normal_institution(self.institution) if self.institution else None,
            "queue": self.queue,
            "correlationId": self.correlation_id,
            "errors.code": None if self.code == UNKNOWN else self.code,
        }
        narrow: Document = {name: value for name, value in wanted.items() if value}
        if self.since:
            narrow["errors.at"] = {"$gte": self.since}
        return narrow

    def _exact(self) -> Document:
        exact: Document = {}
        if self.code:
            exact[f"{LAST}.code"] = None if self.code == UNKNOWN else self.code
        between = {"$gte": self.since, "$lt": self.before}
        if limits := {operator: bound for operator, bound in between.items() if bound}:
            exact[f"{LAST}.at"] = limits
        return exact
