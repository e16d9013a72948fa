"""What a process does with Kafka: it reads the records of all capabilities, and publishes.

kafka-python is imported only where Kafka is on, because the import takes 0.15 s and warns on Python 3.11.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from casebridge.capability import Capability, Queue
from casebridge.messaging.outbox.publication import KAFKA
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.settings import KafkaSettings
from casebridge.sources import record_inbox
from casebridge.sources.dead_record import announce_dead_record
from casebridge.sources.record_flow import RecordFlow
from casebridge.sources.record_inbox import Intake, RecordInbox
from casebridge.sources.record_reader import RecordReader

if TYPE_CHECKING:
    from resources.kafka.consumer import InboxConsumer
    from resources.kafka.lag import KafkaStatus
    from resources.kafka.producer import KafkaChannel


class Kafka:
    """Kafka for one process. Building it connects to nothing; close it when done."""

    def __init__(self, settings: KafkaSettings, queue: MeldingQ, capabilities: Sequence[Capability]) -> None:
        self._settings = settings
        self._queue = queue
        self._channel: KafkaChannel | None = None
        self.records: RecordInbox | None = None
        """Puts records into the inbox. None where Kafka is off."""
        if settings.bootstrap_servers:
            self.records = RecordInbox(queue, _readers(capabilities), settings.maximum_record_bytes)

    def capability(self) -> Capability:
        """The declaration of Kafka as a capability of the platform: unreadable records, dead letters, and publishing."""
        if self.records is None:
            return Capability(name="kafka", submodules=frozenset({record_inbox.QUEUE}))
        from resources.kafka.producer import KafkaChannel  # noqa: PLC0415 see above

        self._channel = KafkaChannel(self._settings)
        return Capability(
            name="kafka",
            queues=(Queue(RecordFlow(self.records, self._queue, self._settings.maximum_record_bytes)),),
            announcers=(announce_dead_record,),
            channels={KAFKA: self._channel},
        )

    def consumer(self, on_accepted: Callable[[Intake], None] = lambda _intake: None) -> "InboxConsumer | None":
        """The consumer that carries records into the inbox; None where Kafka is off."""
        if self.records is None:
            return None
        from resources.kafka.consumer import InboxConsumer  # noqa: PLC0415 see above

        return InboxConsumer(self._settings, self.records, on_accepted)

    def status(self) -> "KafkaStatus | None":
        """How far consumers are behind; None where Kafka is off."""
        if self.records is None:
            return None
        from resources.kafka.lag import LagReader  # noqa: PLC0415 see above

        return LagReader(self._settings, self.records.topics).read()

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()


def _readers(capabilities: Sequence[Capability]) -> Mapping[str, RecordReader]:
    return {topic: reader for capability in capabilities for topic, reader in capability.record_readers.items()}
