"""The flow of records that could not be read. Its only step reads the record again.

While the record cannot be read, the message is dead and people are alerted. When the cause is corrected, a replay continues.
"""

from dataclasses import replace
from typing import Annotated, Any

from pydantic import BeforeValidator

from casebridge.messaging.flow.flow import Flow
from casebridge.messaging.flow.payload import Payload
from casebridge.messaging.flow.step import Step, StepResult, Steps
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Message
from casebridge.messaging.queue.unreadable import unreadable
from casebridge.sources import record_inbox
from casebridge.sources.record import Record
from casebridge.sources.record_inbox import RecordInbox, too_large


class RecordPayload(Payload):
    """The payload of such a message. The record itself is the origin of the message."""

    too_large: Annotated[bool, BeforeValidator(bool)] = False
    """The record was too large, so its value was not kept."""


class RecordRead(StepResult):
    """The outcome of the record, and the correlation id of the message that it became, if there is one."""

    step = "read_record"

    outcome: str
    carried_on_as: str | None = None


class RecordFlow(Flow):
    """`read_record`."""

    queue = record_inbox.QUEUE
    payload = RecordPayload

    def __init__(self, inbox: RecordInbox, queue: MeldingQ, maximum_bytes: int) -> None:
        self._inbox = inbox
        self._queue = queue
        self._maximum_bytes = maximum_bytes

    @property
    def steps(self) -> Steps:
        return (Step(RecordRead, self._read_record),)

    def audit_fields(self, message: Message) -> dict[str, Any]:
        return kafka_fields(message)

    def _read_record(self, message: Message) -> RecordRead:
        try:
            record = Record.from_origin(message.origin or {})
        except (KeyError, TypeError, ValueError):
            raise unreadable(["origin"]) from None
        if RecordPayload.of(message).too_large:
            raise too_large(record.place, self._maximum_bytes)
        reading = self._inbox.read(record)
        if reading.error:
            raise reading.error
        if reading.message is None:
            return RecordRead(outcome="nothing to do")
        # The new message has the correlation id of its case. This message ends and names that id.
        self._queue.accept([replace(reading.message, origin=message.origin)])
        return RecordRead(outcome="accepted", carried_on_as=reading.message.correlation_id)


def kafka_fields(message: Message) -> dict[str, Any]:
    """The audit fields of a message that came from Kafka (contract 2.2: `kafkaOffset`). Other messages have none."""
    if not message.origin:
        return {}
    return {name: message.origin.get(field) for name, field in _FIELDS.items()}


_FIELDS = {"kafkaTopic": "topic", "kafkaPartition": "partition", "kafkaOffset": "offset"}
