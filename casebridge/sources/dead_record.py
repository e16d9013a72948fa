"""Publishes the record of a dead message from Kafka to the topic's dead letters, with the error in the headers.

The message stays dead in the inbox, and is replayed from there. The dead letter is for those who watch the topics. The headers
have the names that Spring Kafka uses. All of them are text, so that any viewer can show them.
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
    added = {name: value.encode() for name, value in _headers(record, message, outcome.failure).items()}
    added |= {WITHHELD.format(part=part): LEFT_IN_KAFKA for part in left_out}
    kept = [header for header in record.headers if not header[0].lower().startswith(OURS)]
    headers = (*kept, *added.items())
    # A record without key and value cannot be published. A record whose value was left out must not look like a tombstone.
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
    """The full name of the error's class."""
    classes = {kind.category.value: kind for kind in CaseError.__subclasses__()}
    kind = classes[category]
    return f"{kind.__module__}.{kind.__qualname__}"
