"""One dead letter as an operator sees it, and the filter by which letters are chosen.

A dead letter is a message that waits for a person, whatever its source. Failed messages that will be tried again, and discarded
ones, are shown in the same way. No payload, no result of a step and no key is shown: a message's key is a fingerprint of a
person's data. `dead_letters` reads the letters and acts on them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from casebridge.database import Document
from casebridge.messaging.queue.message import LONG_AGO, MessageStatus
from casebridge.messaging.queue.message_filter import COORDINATES, LAST, MessageFilter
from casebridge.operators import stored_fields

CHOOSABLE: Final = (MessageStatus.DEAD, MessageStatus.FAILED, MessageStatus.DISCARDED)
LOOK_AT_IT: Final = "Look at the document in oai.meldingQ: it says neither why it failed nor what to do."


class RequestError(ValueError):
    """A request cannot be carried out as it was typed. The text is a sentence for the operator, without a full stop."""

    def __init__(self, sentence: str, option: str | None = None) -> None:
        """`option` is the option that is missing or wrong, if it is a single one."""
        super().__init__(sentence)
        self.option = option


@dataclass(frozen=True)
class DeadLetterFilter(MessageFilter):
    """Selects letters. Raises `RequestError` if it could select none."""

    status: MessageStatus = field(default=MessageStatus.DEAD)

    def __post_init__(self) -> None:
        if self.status not in CHOOSABLE:
            raise RequestError(
                "only dead, failed or discarded messages can be chosen; the others go on by themselves or are done"
            )
        if self.since and self.before and self.since >= self.before:
            raise RequestError(
                f"since ({self.since:%Y-%m-%d %H:%M} UTC) is not before {self.before:%Y-%m-%d %H:%M} UTC: nothing can be between"
            )


@dataclass(frozen=True)
class DeadLetter:
    """One letter in a list: its institution and case, its state, the cause and the next action."""

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
        """Never raises, also if fields are missing: an operator must see messages that no release can read."""
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
    """One finished step. It is not repeated."""

    name: str
    at: datetime | None
    milliseconds: int


@dataclass(frozen=True)
class Instruction:
    """An operator's action on a letter: who, when and why."""

    at: datetime
    by: str
    reason: str

    @property
    def text(self) -> str:
        return f"by {self.by} on {self.at:%Y-%m-%d %H:%M:%S} UTC: {self.reason}"


@dataclass(frozen=True)
class LetterStory:
    """Everything that an operator needs to know about one letter."""

    letter: DeadLetter
    origin: dict[str, str | int]
    errors: list[LetterError]
    steps_done: list[LetterStep]
    replayed: list[Instruction]
    discarded: Instruction | None

    @classmethod
    def from_document(cls, document: Document) -> "LetterStory":
        """`document` has its steps in the form of `message_filter.STEPS`."""
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

    @property
    def instructions(self) -> list[tuple[str, Instruction]]:
        """The operators' actions on the letter in order, each with its name."""
        replayed = [("replayed", instruction) for instruction in self.replayed]
        return [*replayed, ("discarded", self.discarded)] if self.discarded else replayed

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def origin_of(document: Document) -> dict[str, str | int]:
    """The coordinates of the Kafka record that the message came from, never its value. Empty if it did not come by Kafka."""
    origin = stored_fields.mapping(document, "origin")
    return {name: origin[name] for name in COORDINATES if isinstance(origin.get(name), str | int)}


def discarded_of(document: Document) -> Instruction | None:
    """Who discarded a message or a case, when and why; `None` if it is not discarded."""
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
    """The last replays, oldest first. The first release kept only one, in separate fields."""
    replays = [_instruction(replay, "at", "by", "reason") for replay in stored_fields.mappings(document, "replays")]
    if "replayedAt" in document:
        return [_instruction(document, "replayedAt", "replayedBy", "replayReason"), *replays]
    return replays
