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
from casebridge.messaging.message import LONG_AGO, UNKNOWN, MessageStatus
from casebridge.operators import odd
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
        last: Document = {LAST: odd.LAST_ERROR}
        narrow: list[Document] = [{"$match": self._narrow()}, {"$sort": {"enqueuedAt": 1, "_id": 1}}]
        shown: Document = {"$project": {**dict.fromkeys(SHOWN, 1), **last}}
        if exact := self._exact():
            return [*narrow, {"$addFields": last}, {"$match": exact}, {"$limit": limit}, shown]
        return [*narrow, {"$limit": limit}, shown]

    def counts(self) -> list[Document]:
        """The stages of an aggregation that counts all of them by code, as `_id` and `messages`."""
        last: Document = {"$project": {LAST: odd.LAST_ERROR}}
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
        last = odd.mapping(document, LAST) or next(reversed(odd.mappings(document, "errors")), {})
        return cls(
            correlation_id=odd.text(document, "correlationId"),
            institution=odd.text(document, "institution"),
            queue=odd.text(document, "queue"),
            exam_system=odd.text(document, "examSystem"),
            status=odd.text(document, "status"),
            came_by="kafka" if origin_of(document) else "poll",
            enqueued_at=odd.time(document, "enqueuedAt") or LONG_AGO,
            failed_at=odd.time(last, "at"),
            attempts=odd.number(document, "attempts"),
            replays=odd.number(document, "generation", 1) - 1,
            step=odd.text(last, "step"),
            code=odd.text(last, "code"),
            cause=odd.text(last, "cause"),
            next_action=odd.text(last, "nextAction", LOOK_AT_IT),
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
        """`steps` are as `odd.STEPS` reads them."""
        steps = [
            LetterStep(odd.text(step, "name"), odd.time(step, "at"), odd.number(step, "milliseconds"))
            for step in odd.mappings(document, "steps")
        ]
        return cls(
            letter=DeadLetter.from_document(document),
            origin=origin_of(document),
            errors=[_error(error) for error in odd.mappings(document, "errors")],
            steps_done=sorted(steps, key=lambda step: step.at or LONG_AGO),
            replayed=_replays(document),
            discarded=discarded_of(document),
        )

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def origin_of(document: Document) -> dict[str, str | int]:
    """Where the message stood before it came here, if it came by Kafka: coordinates, never its value."""
    origin = odd.mapping(document, "origin")
    return {name: origin[name] for name in COORDINATES if isinstance(origin.get(name), str | int)}


def discarded_of(document: Document) -> Instruction | None:
    """By whom a message or a case was discarded, if it is."""
    if "discardedAt" not in document:
        return None
    return _instruction(document, "discardedAt", "discardedBy", "discardReason")


def _instruction(document: Mapping[str, Any], at: str, by: str, reason: str) -> Instruction:
    return Instruction(odd.time(document, at) or LONG_AGO, odd.text(document, by, ""), odd.text(document, reason, ""))


def _error(error: Mapping[str, Any]) -> LetterError:
    attempt = odd.number(error, "attempt", -1)
    return LetterError(
        odd.time(error, "at"),
        None if attempt < 0 else attempt,
        *(odd.text(error, name) for name in ("step", "category", "code", "cause", "nextAction")),
    )


def _replays(document: Document) -> list[Instruction]:
    """The last replays, oldest first. The first release kept only the last one, in fields of its own."""
    replays = [_instruction(replay, "at", "by", "reason") for replay in odd.mappings(document, "replays")]
    if "replayedAt" in document:
        return [_instruction(document, "replayedAt", "replayedBy", "replayReason"), *replays]
    return replays
