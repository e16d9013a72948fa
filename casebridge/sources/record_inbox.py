"""Puts Kafka's records into the inbox, with one `accept` for each batch.

A record that cannot be read becomes a message of the queue `kafka-record` (`record_flow`). So people see it, and it does not
block its partition. `resources.kafka` fetches the records and commits their offsets.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from casebridge.correlation_id import new_correlation_id
from casebridge.database_faults import is_away
from casebridge.defect import as_case_error
from casebridge.errors import PermanentError
from casebridge.fingerprint import short_hash
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import UNKNOWN, NewMessage
from casebridge.sources.record import Record
from casebridge.sources.record_reader import Reading, RecordReader
from casebridge.telemetry import observer

logger = logging.getLogger(__name__)

QUEUE: Final = "kafka-record"


@dataclass(frozen=True)
class Intake:
    """How many records of a batch came to which result.

    `known` are those that were in the inbox before, or that say the same as another record of the batch.
    """

    accepted: int = 0
    known: int = 0
    unreadable: int = 0
    nothing_to_do: int = 0

    def __add__(self, other: "Intake") -> "Intake":
        return Intake(
            self.accepted + other.accepted,
            self.known + other.known,
            self.unreadable + other.unreadable,
            self.nothing_to_do + other.nothing_to_do,
        )


class RecordInbox:
    """Accepts records of Kafka. Records that were accepted before change nothing. Thread-safe."""

    def __init__(self, queue: MeldingQ, readers: Mapping[str, RecordReader], maximum_bytes: int) -> None:
        """`readers` has the record reader of each topic. The consumer subscribes to these topics."""
        self._queue = queue
        self._readers = readers
        self._maximum_bytes = maximum_bytes

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(sorted(self._readers))

    def accept(self, records: Sequence[Record]) -> Intake:
        """Put all records into the inbox before returning. Raises `PyMongoError` if the database cannot be reached."""
        observation = observer().reading(QUEUE, UNKNOWN)
        try:
            return self._accept(records)
        except BaseException as error:
            if is_away(error):
                raise
            told = as_case_error(error)  # an error in one record must not stop the others
        finally:
            observation.ended()
        if len(records) > 1:
            return sum((self.accept([record]) for record in records), Intake())
        (record,) = records
        return self._set_aside([Reading(record, error=told)])

    def read(self, record: Record) -> Reading:
        """Read a record again. It may be readable now, after a new release or because its institution was activated."""
        reader = self._readers.get(record.topic)
        if reader is None:
            error = PermanentError(
                "kafka.topic_unknown",
                "The topic that the record came by is not consumed.",
                "Set the topic's name as it was when the record came (docs/settings.md), then replay the message.",
            )
            return Reading(record, error=error)
        (reading,) = reader.read([record])
        return reading

    def _accept(self, records: Sequence[Record]) -> Intake:
        by_topic: dict[str, list[Record]] = defaultdict(list)
        refused = []
        for record in records:
            if record.size > self._maximum_bytes:
                error = too_large(record.place, self._maximum_bytes)
                refused.append(Reading(record, error=error))
            else:
                by_topic[record.topic].append(record)
        readings = [reading for topic, found in by_topic.items() for reading in self._readers[topic].read(found)]
        unreadable = [*refused, *(reading for reading in readings if reading.error)]
        messages = [_with_origin(reading.message, reading.record) for reading in readings if reading.message]
        intake = self._set_aside(unreadable, messages)
        return replace(intake, nothing_to_do=len(records) - len(unreadable) - len(messages))

    def _set_aside(self, unreadable: Sequence[Reading], messages: Sequence[NewMessage] = ()) -> Intake:
        """Accept the messages of readable records, together with the messages of unreadable records."""
        poison = [_poison_message(reading) for reading in unreadable]
        for reading in unreadable:
            code = reading.error.code if reading.error else UNKNOWN
            logger.warning("record %s cannot be carried (%s): it is set aside", reading.record.place, code)
        accepted = set(self._queue.accept([*messages, *poison]))
        accepted_poison = len(accepted & {message.key for message in poison})
        told = len(accepted) - accepted_poison
        return Intake(told, len(messages) + len(poison) - len(accepted), accepted_poison)


def too_large(place: str, maximum_bytes: int) -> PermanentError:
    return PermanentError(
        "kafka.record_too_large",
        f"The record {place} is larger than {maximum_bytes} bytes: what it holds was left in Kafka.",
        "Look at it there while the topic keeps it, and have its sender send what the contract says.",
    )


def _with_origin(message: NewMessage, record: Record) -> NewMessage:
    return replace(message, origin=record.origin())


def _poison_message(reading: Reading) -> NewMessage:
    record = reading.record
    payload: dict[str, Any] = {"tooLarge": False}
    if reading.error is not None and reading.error.code == "kafka.record_too_large":
        record, left_out = record.without_value()
        payload = {"tooLarge": True, "withheld": list(left_out)}
    key = short_hash(QUEUE, record.fingerprint)
    return NewMessage(
        key=key,
        queue=QUEUE,
        org_id=reading.org_id,
        env=reading.env,
        exam_system=UNKNOWN,
        ordering_key=key,
        correlation_id=new_correlation_id(record.timestamp),
        payload=payload,
        origin=record.origin(),
    )
