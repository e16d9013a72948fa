"""One dead letter as an operator sees it, and the filter by which letters are chosen.

A dead letter is a message that waits for a person, by whatever road it came; messages that will be tried again by themselves and
discarded ones are shown in the same way. What is shown holds no payload, no result of a step and no key: a message's
key is a fingerprint of a person's data. Reading and acting is in `dead_letters`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from casebridge.database import Document
from casebridge.messaging.queue.message import LONG_AGO, UNKNOWN, MessageStatus
from casebridge.operators import stored_fields
from casebridge.tenant import normal_institution

CHOOSABLE: Final = (MessageStatus.DEAD, MessageStatus.FAILED, MessageStatus.DISCARDED)
LAST: Final = "lastError"
COORDINATES: Final = ("topic", "partition", "offset")
SHOWN: Final = (
    "queue", "status", "orgId", "env", "institution", "examSystem", "orderingKey", "correlationId", "enqueuedAt", "attempts",
    "generation", *(f"origin.{name}" for name in COORDINATES),
)  # fmt: skip
"""The fields of a message that a list reads. A payload stays where it is."""
LOOK_AT_IT: Final = "Look at the document in oai.meldingQ: it says neither why it failed nor what to do."


@dataclass(frozen=True)
class DeadLetterFilter:
    """Which letters: an absent field means any. Code and time are those of the last error: earlier ones were overtaken."""

    status: MessageStatus = MessageStatus.DEAD
    institution: str | None = None
    queue: str | None = None
    code: str | None = None
    correlation_id: str | None = None
    since: datetime | None = None
    before: datetime | None = None

    def __post_init__(self) -> None:
        if self.status not in CHOOSABLE:
            raise ValueError(
                "only dead, failed or discarded messages can be chosen; the others go on by themselves or are done"
            )
        if self.since and self.before and self.since >= self.before:
            raise ValueError(
                f"since ({self.since:%Y-%m-%d %H:%M} UTC) is not before {self.before:%Y-%m-%d %H:%M} UTC: nothing can be between"
            )

    def rows(self, limit: int) -> list[Document]:
        """The stages of an aggregation that finds the oldest, each with its last error under `LAST`.

        The first stage is answered by an index: a message whose last error has a code has it among its errors. The last error
        itself is compared after that, so no message needs a field of its own for it, whichever release wrote it.
        """
        last: Document = {LAST: stored_fields.LAST_ERROR}
        narrow: list[Document] = [{"$match": self._narrow()}, {"$sort": {"enqueuedAt": 1, "_id": 1}}]
        shown: Document = {"$project": {**dict.fromkeys(SHOWN, 1), **last}}
        if exact := self._exact():
            return [*narrow, {"$addFields": last}, {"$match": exact}, {"$limit": limit}, shown]
        return [*narrow, {"$limit": limit}, shown]

    def counts(self) -> list[Document]:
        """The stages of an aggregation that counts all of them by code, as `_id` and `messages`."""
        last: Document = {"$project": {LAST: stored_fields.LAST_ERROR}}
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


@dataclass(frozen=True)
class DeadLetter:
    """One letter in a list: whose it is, where it stands, why, and what to do."""

    correlation_id: str
    institution: str
    queue: str
    exam_system: str
    status: str
    came_by: str
    enqueued_at: datetime
    failed_at: datetime | None
    attempts: int
    replays: int
    step: str
    code: str
    cause: str
    next_action: str

    @classmethod
    def from_document(cls, document: Document) -> "DeadLetter":
        """Never fails for a missing field: an operator must see what no release can read."""
        last = stored_fields.mapping(document, LAST) or next(reversed(stored_fields.mappings(document, "errors")), {})
        return cls(
            correlation_id=stored_fields.text(document, "correlationId"),
            institution=stored_fields.text(document, "institution"),
            queue=stored_fields.text(document, "queue"),
            exam_system=stored_fields.text(document, "examSystem"),
            status=stored_fields.text(document, "status"),
            came_by="kafka" if origin_of(document) else "poll",
            enqueued_at=stored_fields.time(document, "enqueuedAt") or LONG_AGO,
            failed_at=stored_fields.time(last, "at"),
            attempts=stored_fields.number(document, "attempts"),
            replays=stored_fields.number(document, "generation", 1) - 1,
            step=stored_fields.text(last, "step"),
            code=stored_fields.text(last, "code"),
            cause=stored_fields.text(last, "cause"),
            next_action=stored_fields.text(last, "nextAction", LOOK_AT_IT),
        )


@dataclass(frozen=True)
class LetterError:
    """One failed attempt."""

    at: datetime | None
    attempt: int | None
    step: str
    category: str
    code: str
    cause: str
    next_action: str


@dataclass(frozen=True)
class LetterStep:
    """One step that is done, and will not be done again."""

    name: str
    at: datetime | None
    milliseconds: int


@dataclass(frozen=True)
class Instruction:
    """What an operator had done to a letter: who, when and why."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class LetterStory:
    """Everything that an operator needs to know of one letter."""

    letter: DeadLetter
    origin: dict[str, str | int]
    errors: list[LetterError]
    steps_done: list[LetterStep]
    replayed: list[Instruction]
    discarded: Instruction | None

    @classmethod
    def from_document(cls, document: Document) -> "LetterStory":
        """`steps` are as `stored_fields.STEPS` reads them."""
        steps = [
            LetterStep(
                stored_fields.text(step, "name"),
                stored_fields.time(step, "at"),
                stored_fields.number(step, "milliseconds"),
            )
            for step in stored_fields.mappings(document, "steps")
        ]
        return cls(
            letter=DeadLetter.from_document(document),
            origin=origin_of(document),
            errors=[_error(error) for error in stored_fields.mappings(document, "errors")],
            steps_done=sorted(steps, key=lambda step: step.at or LONG_AGO),
            replayed=_replays(document),
            discarded=discarded_of(document),
        )

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def origin_of(document: Document) -> dict[str, str | int]:
    """Where the message stood before it came here, if it came by Kafka: coordinates, never its value."""
    origin = stored_fields.mapping(document, "origin")
    return {name: origin[name] for name in COORDINATES if isinstance(origin.get(name), str | int)}


def discarded_of(document: Document) -> Instruction | None:
    """By whom a message or a case was discarded, if it is."""
    if "discardedAt" not in document:
        return None
    return _instruction(document, "discardedAt", "discardedBy", "discardReason")


def _instruction(document: Mapping[str, Any], at: str, by: str, reason: str) -> Instruction:
    return Instruction(
        stored_fields.time(document, at) or LONG_AGO,
        stored_fields.text(document, by, ""),
        stored_fields.text(document, reason, ""),
    )


def _error(error: Mapping[str, Any]) -> LetterError:
    attempt = stored_fields.number(error, "attempt", -1)
    return LetterError(
        stored_fields.time(error, "at"),
        None if attempt < 0 else attempt,
        *(stored_fields.text(error, name) for name in ("step", "category", "code", "cause", "nextAction")),
    )


def _replays(document: Document) -> list[Instruction]:
    """The last replays, oldest first. The first release kept only the last one, in fields of its own."""
    replays = [_instruction(replay, "at", "by", "reason") for replay in stored_fields.mappings(document, "replays")]
    if "replayedAt" in document:
        return [_instruction(document, "replayedAt", "replayedBy", "replayReason"), *replays]
    return replays
