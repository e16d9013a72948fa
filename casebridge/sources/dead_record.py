"""A message that came by Kafka is dead: its record goes to the topic's dead letters, with what went wrong in the headers.

The message stays dead in the inbox, where it is replayed from; the dead letter tells those who watch the topics. Headers are
named as Spring Kafka names them, and are all text, so that any viewer shows them.
"""

from collections.abc import Sequence
from typing import Final

from casebridge.errors import CaseError
from casebridge.messaging.outbox.publication import OURS, WITHHELD, Publication
from casebridge.messaging.queue.message import Failure, Message, MessageStatus, PendingEffect, moment_of
from casebridge.messaging.queue.outcome import Outcome
from casebridge.sources.record import Record

DEAD_LETTERS: Final = ".DLT"
PREFIX: Final = "kafka_dlt-"
PARTS: Final = ("value", "key", "headers")
LEFT_IN_KAFKA: Final = b"larger than casebridge takes: look at its place in Kafka"


def dead_letter_topic(topic: str) -> str:
    return f"{topic}{DEAD_LETTERS}"


def announce_dead_record(message: Message, outcome: Outcome) -> Sequence[PendingEffect]:
    """The announcer. A message that is replayed and dead again is announced again, under a new effect id."""
    if outcome.status is not MessageStatus.DEAD or message.origin is None or outcome.failure is None:
        return ()
    record = Record.from_origin(message.origin)
    left_out = [part for part in message.payload.get("withheld", ()) if part in PARTS]
    told = {name: value.encode() for name, value in _headers(record, message, outcome.failure).items()}
    told |= {WITHHELD.format(part=part): LEFT_IN_KAFKA for part in left_out}
    kept = [header for header in record.headers if not header[0].lower().startswith(OURS)]
    headers = (*kept, *told.items())
    # A record with neither key nor value cannot be published, and one whose value was left out is no tombstone.
    is_empty = bool(left_out) or (record.key is None and record.value is None)
    value = b"" if is_empty else record.value
    return (Publication(dead_letter_topic(record.topic), record.key, value, headers).effect_of(message),)


def _headers(record: Record, message: Message, failure: Failure) -> dict[str, str]:
    first = moment_of(message.errors[0], "at") if message.errors else None
    return {
        f"{PREFIX}original-topic": record.topic,
        f"{PREFIX}original-partition": str(record.partition),
        f"{PREFIX}original-offset": str(record.offset),
        f"{PREFIX}original-timestamp": record.timestamp.isoformat(),
        f"{PREFIX}exception-fqcn": _class_of(failure.category),
        f"{PREFIX}exception-message": f"{failure.code}: {failure.cause} {failure.next_action}",
        f"{PREFIX}attempts": str(failure.attempt),
        f"{PREFIX}replays": str(message.generation - 1),
        f"{PREFIX}first-failure": (first or failure.at).isoformat(),
        f"{PREFIX}last-failure": failure.at.isoformat(),
        f"{PREFIX}correlation-id": message.correlation_id,
    }


def _class_of(category: str) -> str:
    """The error's class as its module names it."""
    classes = {kind.category.value: kind for kind in CaseError.__subclasses__()}
    kind = classes[category]
    return f"{kind.__module__}.{kind.__qualname__}"
