"""The flow of records that could not be read: its one step reads the record again.

As long as it cannot be read the message is dead, in sight and alerted; once something was corrected, a replay carries it on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from casebridge.errors import CaseError
from casebridge.messaging.flow.flow import Result, Step, StepResult
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Message
from casebridge.sources import record_inbox
from casebridge.sources.record import Record
from casebridge.sources.record_inbox import RecordInbox, too_large


class RecordFlow:
    """`read_record`."""

    queue = record_inbox.QUEUE
    dropped_results: tuple[str, ...] = ()

    def __init__(self, inbox: RecordInbox, queue: MeldingQ, maximum_bytes: int) -> None:
        self._inbox = inbox
        self._queue = queue
        self._maximum_bytes = maximum_bytes

    @property
    def steps(self) -> tuple[Step, ...]:
        return (Step("read_record", self._read_record),)

    def prefetch(self, messages: Sequence[Message]) -> None:
        """Nothing: what is to be read is in the message."""

    def audit_fields(self, message: Message) -> dict[str, Any]:
        return kafka_fields(message)

    def apply_to_cases(self, messages: Sequence[Message]) -> None:
        """Nothing: a record that cannot be read has no case."""

    def set_aside(self, message: Message, error: CaseError) -> None:
        """Nothing to mark: a record that cannot be read has no case."""

    def on_lease_lost(self, message: Message) -> None:
        """Nothing to mend: the inbox takes each message once."""

    def _read_record(self, message: Message, _results: Mapping[str, Result]) -> StepResult:
        record = Record.from_origin(message.origin or {})
        if message.payload.get("tooLarge"):
            raise too_large(record.place, self._maximum_bytes)
        reading = self._inbox.read(record)
        if reading.error:
            raise reading.error
        if reading.message is None:
            return StepResult({"outcome": "nothing to do"})
        # Under the correlation id of the case from now on; this message's road ends here and says where it goes on.
        self._queue.accept([replace(reading.message, origin=message.origin)])
        return StepResult({"outcome": "accepted", "carriedOnAs": reading.message.correlation_id})


def kafka_fields(message: Message) -> dict[str, Any]:
    """The audit's fields of a message that came by Kafka (contract 2.2: `kafkaOffset`); none for any other."""
    if not message.origin:
        return {}
    return {name: message.origin[field] for name, field in _FIELDS.items()}


_FIELDS = {"kafkaTopic": "topic", "kafkaPartition": "partition", "kafkaOffset": "offset"}
