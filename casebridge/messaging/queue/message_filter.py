"""The aggregations for operators' questions: which live messages are meant, and which of their fields are read.

No payload and no result of a step is read. Both may be large, and both may contain personal data.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from casebridge.database import Document
from casebridge.messaging.queue.message import UNKNOWN, MessageStatus
from casebridge.tenant import normal_institution

LAST: Final = "lastError"
"""The field in which `MessageFilter.rows` returns the last error of a message."""
LAST_ERROR: Final[Document] = {
    "$cond": [{"$isArray": "$errors"}, {"$arrayElemAt": [{"$ifNull": ["$errors", []]}, -1]}, None]
}
"""The last error of a message, for an aggregation. Works also if `errors` is not a list."""
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
"""The steps of a message without their results, for an aggregation: a list, which is empty if `steps` is not a document."""
COORDINATES: Final = ("topic", "partition", "offset")
"""The fields of a message's origin that are read: the place of the Kafka record."""
LISTED: Final = (
    "queue", "status", "orgId", "env", "institution", "examSystem", "orderingKey", "correlationId", "enqueuedAt", "attempts",
    "generation", *(f"origin.{name}" for name in COORDINATES),
)  # fmt: skip
"""The fields that a list of messages shows."""
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
    """Selects messages in one status. `None` in a field means any. Code and time are those of the last error only."""

    status: MessageStatus
    institution: str | None = None
    queue: str | None = None
    code: str | None = None
    correlation_id: str | None = None
    since: datetime | None = None
    before: datetime | None = None

    def rows(self, limit: int) -> list[Document]:
        """The stages of an aggregation that finds the oldest messages, each with its last error as `LAST`.

        The first stage uses an index: it finds messages that have the code among their errors. Then the last error is compared.
        So messages need no extra field for the last code, whichever release wrote them.
        """
        last: Document = {LAST: LAST_ERROR}
        narrow: list[Document] = [{"$match": self._narrow()}, {"$sort": {"enqueuedAt": 1, "_id": 1}}]
        shown: Document = {"$project": {**dict.fromkeys(LISTED, 1), **last}}
        if exact := self._exact():
            return [*narrow, {"$addFields": last}, {"$match": exact}, {"$limit": limit}, shown]
        return [*narrow, {"$limit": limit}, shown]

    def counts(self) -> list[Document]:
        """The stages of an aggregation that counts all these messages by code, as `_id` and `messages`."""
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
