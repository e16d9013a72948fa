"""Our side of one broker, for the suites about Kafka alone. Every record becomes a message, whatever its value."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from casebridge.clock import ServerClock
from casebridge.database import Database
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Message, NewMessage
from casebridge.settings import KafkaSettings
from casebridge.sources.record import Record
from casebridge.sources.record_inbox import RecordInbox
from casebridge.sources.record_reader import Reading
from resources.kafka.consumer import InboxConsumer
from resources.kafka.lag import LagReader
from resources.kafka.topics import topics_of
from tests.support.kafka_broker import Topic

QUEUE: Final = "of-this-test"


class EveryRecord:
    """Makes one message of each record. The message's key is the record's fingerprint."""

    def read(self, records: Sequence[Record]) -> list[Reading]:
        return [Reading(record, message_from(record)) for record in records]


def message_from(record: Record) -> NewMessage:
    said = (record.value or b"").decode()
    return NewMessage(
        key=record.fingerprint,
        queue=QUEUE,
        org_id="uis.no",
        env="test",
        exam_system="WISEFLOW",
        ordering_key=record.fingerprint,
        correlation_id=record.fingerprint,
        payload={"said": said},
    )


class KafkaInbox:
    """An inbox with a group and topics of its own.

    `address` is the broker's address for the test itself, where that differs from the address in the settings.
    """

    def __init__(self, database: Database, settings: KafkaSettings, address: str | None = None) -> None:
        self.database = database
        self.settings = settings
        self._address = address or settings.bootstrap_servers or ""
        self.queue = MeldingQ(database, ServerClock(database.server_time), timedelta(seconds=60))
        self.inbox = RecordInbox(self.queue, {self.requests.name: EveryRecord()}, settings.maximum_record_bytes)

    @property
    def requests(self) -> Topic:
        return Topic(self._address, self.settings.explanation_requests_topic)

    @property
    def answers(self) -> Topic:
        return Topic(self._address, self.settings.explanation_answers_topic)

    def make_topics(self) -> None:
        with topics_of(self.settings) as topics:
            topics.ensure()

    @contextmanager
    def consuming(self, stop: threading.Event | None = None) -> Iterator[InboxConsumer]:
        """A consumer at work in a thread of this process. It leaves its group at the end."""
        stop = stop or threading.Event()
        consumer = InboxConsumer(self.settings, self.inbox)
        thread = threading.Thread(target=consumer.run, args=(stop,), daemon=True)
        thread.start()
        try:
            yield consumer
        finally:
            stop.set()
            thread.join(timeout=30)
            assert not thread.is_alive()

    def said(self) -> list[str]:
        """The texts of the messages in the inbox, sorted."""
        return sorted(document["payload"]["said"] for document in self.queue.find({"queue": QUEUE}, limit=1000))

    def lag(self) -> int:
        return LagReader(self.settings, self.inbox.topics).read().unread

    def committed(self) -> int:
        return sum(self.requests.committed(self.settings.group).values())


def words(count: int, first: int = 0) -> list[bytes]:
    return [f"word {number:04}".encode() for number in range(first, first + count)]


def texts(values: Sequence[bytes]) -> list[str]:
    return sorted(value.decode() for value in values)


def message_of(text: bytes) -> Message:
    """A claimed message, for effects that a test makes of it."""
    new = NewMessage(text.decode(), "a queue", "uis.no", "test", "case", "correlation", {}, exam_system="WISEFLOW")
    return Message.from_document({**new.document(datetime.now(UTC)), "claim": "a token"})
