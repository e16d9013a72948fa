"""A message of MeldingQ and its parts, as they are stored in `oai.meldingQ` (contract 11, with additions).

`meldingq` reads and writes the collection. Documents of an earlier schema version stay readable: fields that they lack get their
defaults here and nowhere else.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeGuard

from casebridge import tenant
from casebridge.correlation_id import safe_id
from casebridge.database_faults import is_too_large
from casebridge.fingerprint import short_hash
from casebridge.personal_data import Personal

SCHEMA_VERSION: Final = 1
UNKNOWN: Final = tenant.UNKNOWN
LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of arrival of a message that has none: before every other message of its case."""


class MessageStatus(StrEnum):
    """`enqueued → processing → processed | failed → dead → discarded`. A `failed` message waits for its next attempt."""

    ENQUEUED = "enqueued"
    PROCESSING = "processing"
    PROCESSED = "processed"
    FAILED = "failed"
    DEAD = "dead"
    DISCARDED = "discarded"


SHORT: Final = 100
LONGEST_NAME: Final = 200
"""Characters of a name of an institution, a queue or a case. A longer text is no name: it would be repeated in many places."""
LONGEST_KEY: Final = 1000
"""Characters of `_id` and `orderingKey`. One query lists hundreds of them, and may have 16 MB."""
LARGEST_COUNT: Final = 1_000_000_000
NEEDED: Final[tuple[str, ...]] = ("queue", "orgId", "env", "payload")
UNFINISHED: Final = (MessageStatus.ENQUEUED, MessageStatus.PROCESSING, MessageStatus.FAILED)
"""The statuses that hold back later messages of the same case."""


@dataclass(frozen=True)
class NewMessage:
    """A message for the inbox. `key` makes it unique for ever. `ordering_key` keeps the messages of a case in order.

    `exam_system` is empty if the capability has none, and is stored like that. A document without the field comes from another
    program.
    """

    key: str
    queue: str
    org_id: str
    env: str
    ordering_key: str
    correlation_id: str
    payload: Personal[dict[str, Any]] = field(repr=False)
    exam_system: str = field(default=tenant.NO_EXAM_SYSTEM, kw_only=True)
    origin: Personal[dict[str, Any]] | None = field(default=None, repr=False, kw_only=True)
    """The record of Kafka that it came from: coordinates and value. Set if the sender is notified when the message is dead."""

    def document(self, now: datetime) -> dict[str, Any]:
        return {
            **({} if self.origin is None else {"origin": self.origin}),
            "_id": self.key,
            "schemaVersion": SCHEMA_VERSION,
            "queue": self.queue,
            "status": MessageStatus.ENQUEUED.value,
            "orgId": self.org_id,
            "env": self.env,
            "examSystem": self.exam_system,
            "institution": tenant.institution_name(self.org_id, self.env),
            "orderingKey": self.ordering_key,
            "correlationId": self.correlation_id,
            "payload": self.payload,
            "enqueuedAt": now,
            "dueAt": now,
            "attempts": 0,
            "generation": 1,
            "fence": 0,
            "steps": {},
            "errors": [],
            "effects": [],
        }


@dataclass(frozen=True)
class StepRecord:
    """The stored result of one step. With `last` the flow ends: later steps are not needed."""

    at: datetime
    fence: int
    milliseconds: int
    result: Personal[dict[str, Any]] = field(repr=False)
    last: bool = False

    def document(self) -> dict[str, Any]:
        return {
            "at": self.at,
            "fence": self.fence,
            "milliseconds": self.milliseconds,
            "result": self.result,
            "last": self.last,
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "StepRecord":
        return cls(
            document["at"],
            document.get("fence", 0),
            document.get("milliseconds", 0),
            document.get("result", {}),
            document.get("last", False),
        )


@dataclass(frozen=True)
class Failure:
    """One failed attempt, described for an operator. No personal data."""

    at: datetime
    attempt: int
    step: str
    category: str
    code: str
    cause: str
    next_action: str

    def document(self) -> dict[str, Any]:
        return {
            "at": self.at,
            "attempt": self.attempt,
            "step": self.step,
            "category": self.category,
            "code": self.code,
            "cause": self.cause,
            "nextAction": self.next_action,
        }


@dataclass(frozen=True)
class PendingEffect:
    """Something to be delivered to an outside system once, after a change of state (design §3).

    `id` is delivered, too. So it is not derived from the message's key alone, which is a fingerprint of a person's data.
    """

    id: str
    kind: str
    body: dict[str, Any]

    @classmethod
    def of(cls, message: "Message", kind: str, body: dict[str, Any]) -> "PendingEffect":
        """The effect of this claim of the message. Settling the claim again, after an answer was lost, makes the same effect."""
        return cls(cls.id_of(message, kind), kind, body)

    @staticmethod
    def id_of(message: "Message", kind: str) -> str:
        return short_hash(message.stored.get("claim", ""), message.key, kind)

    def document(self) -> dict[str, Any]:
        return {"id": self.id, "kind": self.kind, "body": self.body}


@dataclass
class Message:
    """A claimed message that one worker holds. `fence` proves that the worker still holds it."""

    key: str
    queue: str
    status: MessageStatus
    org_id: str
    env: str
    exam_system: str
    institution: str
    ordering_key: str
    correlation_id: str
    payload: Personal[dict[str, Any]] = field(repr=False)
    enqueued_at: datetime
    attempts: int
    generation: int
    fence: int
    steps: dict[str, StepRecord] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)
    origin: Personal[dict[str, Any]] | None = field(default=None, repr=False)
    taken_over: bool = False
    """Whether the worker that held it before died or lost its lease. Then this claim charges no attempt."""
    assumed: dict[str, Any] = field(default_factory=dict)
    """Values for fields that the document lacks or has in a wrong form. A failure stores them, for all later readers."""
    stored: Personal[dict[str, Any]] = field(default_factory=dict, repr=False)
    """The document as it was claimed."""
    prefetched: Personal[dict[str, Any]] = field(default_factory=dict, repr=False)
    """Values that were read since the claim for the steps of this attempt. Never stored."""
    unreadable: tuple[str, ...] = ()
    """Fields that every flow needs, and that the document lacks or has in another form."""
    isolated: bool = False
    """Whether it is to be run alone: its worker was lost more than once in a row."""
    held_until: float = math.inf
    """When the lease ends, on this process's monotonic clock. The heartbeat moves it on."""

    @property
    def tenant(self) -> str:
        """The key of its tenant: institution and exam system, or the institution alone if there is no exam system."""
        return tenant.tenant_key(self.institution, self.exam_system)

    @property
    def safe_id(self) -> str:
        """Its correlation id in a form that may be logged."""
        return safe_id(self.correlation_id)

    @property
    def not_stored(self) -> str | None:
        """The code that says why the database refused the message's content. Then no flow can handle it. `None` otherwise."""
        code = self.stored.get("notStored")
        return code if isinstance(code, str) else None

    @property
    def is_held(self) -> bool:
        """Whether this process surely still has the lease. A process that was frozen sees here that it may not go on."""
        return time.monotonic() < self.held_until

    @property
    def started_at(self) -> datetime:
        """When it was claimed; when it arrived if it was not claimed."""
        return moment_of(self.stored, "startedAt") or self.enqueued_at

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Message":
        """Never raises. A document that cannot be read must not end its worker: its message fails, visibly (`unreadable`)."""
        assumed = {name: value for name, value in _assumptions(document).items() if name not in document}
        assumed |= {name: value for name, value in _corrections(document).items() if name in document}
        steps = _steps(document.get("steps"))
        unreadable = [name for name in NEEDED if name in assumed]
        unreadable += [
            name for name, is_read in (("steps", steps is not None), ("origin", _is_origin(document))) if not is_read
        ]
        document = {**document, **assumed}
        return cls(
            key=document["_id"],
            queue=document["queue"],
            status=status_of(document) or MessageStatus.ENQUEUED,
            org_id=document["orgId"],
            env=document["env"],
            exam_system=document["examSystem"],
            institution=document["institution"],
            ordering_key=document["orderingKey"],
            correlation_id=document["correlationId"],
            payload=document["payload"],
            enqueued_at=document["enqueuedAt"],
            attempts=int(document.get("attempts", 0)),
            generation=int(document.get("generation", 1)),
            fence=int(document.get("fence", 0)),
            steps=steps or {},
            errors=list(document.get("errors", [])),
            origin=document.get("origin") if _is_origin(document) else None,
            assumed=assumed,
            unreadable=tuple(unreadable),
            stored=document,
        )


def without_content(document: dict[str, Any], error: BaseException) -> dict[str, Any]:
    """The document for a new message that the database refuses: enough to find its case, and the reason (`notStored`)."""
    payload = {
        name: value
        for name, value in document["payload"].items()
        if isinstance(value, str) and len(value) <= SHORT and value.isascii()
    }
    refused = "casebridge.document_too_large" if is_too_large(error) else "casebridge.document_refused"
    kept = {**document, "payload": payload, "notStored": refused}
    if "origin" in kept:
        kept["origin"] = {**kept["origin"], "key": None, "value": None, "headers": []}
    return kept


def status_of(document: Mapping[str, Any]) -> MessageStatus | None:
    """The status in a document; `None` if it has none that we know."""
    status = document.get("status")
    return MessageStatus(status) if is_text(status) and status in set(MessageStatus) else None


def is_text(value: object) -> TypeGuard[str]:
    """Whether it is a text of BSON. Not JavaScript: the driver's class for it derives from `str`, but cannot be hashed."""
    return type(value) is str


def is_name(value: object) -> TypeGuard[str]:
    """Whether it is a text that is short enough for a name."""
    return is_text(value) and len(value) <= LONGEST_NAME


def is_key(value: object) -> TypeGuard[str]:
    """Whether it is a text that is short enough for a query with many others."""
    return is_text(value) and len(value) <= LONGEST_KEY


def moment_of(document: Mapping[str, Any], name: str) -> datetime | None:
    """The time in a field of a stored document; `None` if the field is absent or not a time."""
    value = document.get(name)
    return value if isinstance(value, datetime) else None


def is_effect(value: object) -> bool:
    """Whether it is a pending effect in its stored form."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("id"), str)
        and isinstance(value.get("kind"), str)
        and isinstance(value.get("body"), dict)
    )


def is_count(value: object) -> bool:
    """Whether it can be a count. It may be floating point: other programs write whole numbers like that.

    A fraction is not a count: when the database increments it, it never equals the whole number that we read.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 <= value <= LARGEST_COUNT and value == int(value)


def _assumptions(document: dict[str, Any]) -> dict[str, Any]:
    """The fields that a document may lack, with the values that are assumed."""
    return {
        "queue": UNKNOWN,
        "orgId": UNKNOWN,
        "env": UNKNOWN,
        "examSystem": UNKNOWN,
        "institution": tenant.institution_name(document.get("orgId"), document.get("env")),
        "orderingKey": document["_id"],
        "correlationId": UNKNOWN,
        "payload": {},
        "enqueuedAt": LONG_AGO,
    }


def _corrections(document: dict[str, Any]) -> dict[str, Any]:
    """The fields of a document that have a value of a wrong kind, with the values that are assumed."""
    wanted: dict[str, tuple[Any, Callable[[object], bool]]] = {
        **{name: (value, _is_like(value)) for name, value in _assumptions(document).items()},
        "orderingKey": (document["_id"], is_key),
        "attempts": (0, is_count),
        "fence": (0, is_count),
        "generation": (1, is_count),
        "errors": ([], _is_list_of_documents),
        # Only null is corrected. Another value that is not a document stays as it is, and the message becomes dead.
        "steps": ({}, lambda stored: stored is not None),
        "effects": ([], _is_list),
    }
    return {
        name: value for name, (value, is_right) in wanted.items() if name in document and not is_right(document[name])
    }


def _is_like(value: object) -> Callable[[object], bool]:
    return is_name if isinstance(value, str) else lambda other: isinstance(other, type(value))


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_list_of_documents(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _is_origin(document: Mapping[str, Any]) -> bool:
    return isinstance(document.get("origin", {}), dict) or document["origin"] is None


def _steps(stored: object) -> dict[str, StepRecord] | None:
    """The stored steps; none if the field is absent, and `None` if they cannot be read."""
    if stored is None:
        return {}
    if not isinstance(stored, dict) or not all(_is_step(step) for step in stored.values()):
        return None
    return {name: StepRecord.from_document(step) for name, step in stored.items()}


def _is_step(step: object) -> bool:
    return (
        isinstance(step, dict)
        and isinstance(step.get("at"), datetime)
        and isinstance(step.get("result", {}), dict)
        and isinstance(step.get("milliseconds", 0), int)
    )
