"""Carries records from Kafka to the inbox: a batch is accepted first and its offsets are committed after, never before.

Several processes may share one consumer group; Kafka gives each some partitions. What a record means is the inbox's business.
"""

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata
from pymongo.errors import PyMongoError

from casebridge.crash_points import crash_point
from casebridge.defect import log_defect
from casebridge.messaging.record import Record
from casebridge.messaging.record_inbox import Intake, RecordInbox
from casebridge.settings import KafkaSettings
from resources.kafka.connection import client_options, connected, say_that_kafka_is_away
from resources.kafka.topics import TopicWatch

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.25
"""How long one look for records lasts: as long as it takes to notice that the process shall end."""
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 5.0
CLOSE_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 120.0
"""A consumer that asks for nothing this long, because it hangs, loses its partitions."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Batch = Mapping[TopicPartition, Sequence[ConsumerRecord]]


class InboxConsumer:
    """One member of the group. Runs until it is stopped, whatever goes away and comes back meanwhile."""

    def __init__(
        self, settings: KafkaSettings, inbox: RecordInbox, told: Callable[[Intake], None] = lambda _intake: None
    ) -> None:
        """`told` hears of each batch that was accepted."""
        self._settings = settings
        self._inbox = inbox
        self._told = told
        self._wait = FIRST_WAIT

    def run(self, stop: threading.Event) -> None:
        """Consume until `stop` is set; then the batch in hand is finished and the group is left."""
        while not stop.is_set():
            try:
                self._consume(stop)
            except (KafkaError, OSError, ValueError) as error:
                say_that_kafka_is_away(error)
                self._rest(stop)
            except Exception as error:  # noqa: BLE001 a defect must not end the process; what was not committed comes again
                log_defect(error)
                self._rest(stop)

    def _consume(self, stop: threading.Event) -> None:
        """With one consumer, which finds a broker that was away again by itself."""
        watch = TopicWatch(self._settings)
        consumer = None
        try:
            watch.look()
            consumer = self._open()
            while not stop.is_set():
                self._look(consumer, watch, stop)
        finally:
            watch.close()
            if consumer is not None:
                consumer.close(autocommit=False, timeout_ms=int(CLOSE_SECONDS * 1000))

    def _open(self) -> KafkaConsumer:
        settings = self._settings
        consumer = connected(
            KafkaConsumer,
            **client_options(settings),
            group_id=settings.group,
            enable_auto_commit=False,
            # A group that is new, or whose offsets were lost, begins at the beginning: what is known is known by its key.
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            isolation_level="read_committed",
            session_timeout_ms=int(settings.session_seconds * 1000),
            heartbeat_interval_ms=int(settings.heartbeat_seconds * 1000),
            fetch_max_wait_ms=int(settings.fetch_wait_seconds * 1000),
            max_poll_records=settings.batch_records,
            max_poll_interval_ms=int(SILENT_SECONDS * 1000),
        )
        consumer.subscribe(list(self._inbox.topics), listener=_Told())
        for topic in self._inbox.topics:
            # A member that leads its group and does not know the partitions yet would give out none.
            consumer.partitions_for_topic(topic)
        return consumer

    def _look(self, consumer: KafkaConsumer, watch: TopicWatch, stop: threading.Event) -> None:
        batch: Batch = consumer.poll(timeout_ms=int(LOOK_SECONDS * 1000))
        if changed := watch.look_if_due():
            # Their first records would be passed over: our place in the old ones says nothing about the new.
            _go_back(consumer, batch)
            _go_to_the_beginning(consumer, changed)
            return
        if not batch:
            return
        try:
            intake = self._inbox.accept(
                [_record(record, watch.ids) for records in batch.values() for record in records]
            )
        except PyMongoError as error:
            logger.warning("the database is away (%s): nothing is committed", type(error).__name__)
            _go_back(consumer, batch)
            self._rest(stop)
            return
        crash_point("records_accepted")
        self._wait = FIRST_WAIT
        _commit(consumer, batch, self._settings.request_seconds)
        crash_point("offsets_committed")
        self._told(intake)

    def _rest(self, stop: threading.Event) -> None:
        stop.wait(self._wait)
        self._wait = min(self._wait * 2, LONGEST_WAIT)


class _Told(ConsumerRebalanceListener):
    """Says which partitions are ours. Nothing is to be done: whatever was fetched before is accepted and committed, or not."""

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        if revoked:
            logger.info("gave back %s", _named(revoked))

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        logger.info("consuming %s", _named(assigned) or "nothing: others have all partitions")


def _named(partitions: set[TopicPartition]) -> str:
    return ", ".join(f"{partition.topic}|{partition.partition}" for partition in sorted(partitions))


def _commit(consumer: KafkaConsumer, batch: Batch, seconds: float) -> None:
    """Explicitly, behind the last record of each partition. What could not be committed comes again, and is known then."""
    offsets = {
        partition: OffsetAndMetadata(records[-1].offset + 1, "", -1) for partition, records in batch.items() if records
    }
    try:
        consumer.commit(offsets, timeout_ms=int(seconds * 1000))
    except KafkaError as error:
        logger.info("offsets were not committed (%s): these records come again", type(error).__name__)


def _go_back(consumer: KafkaConsumer, batch: Batch) -> None:
    """To where the batch began, in the partitions that are still ours."""
    for partition, records in batch.items():
        if partition in consumer.assignment():
            consumer.seek(partition, records[0].offset)


def _go_to_the_beginning(consumer: KafkaConsumer, topics: Collection[str]) -> None:
    """In those topics, as far as their partitions are ours."""
    ours = [partition for partition in consumer.assignment() if partition.topic in topics]
    if ours:
        consumer.seek_to_beginning(*ours)


def _record(record: ConsumerRecord, topic_ids: Mapping[str, str]) -> Record:
    return Record(
        topic=record.topic,
        topic_id=topic_ids.get(record.topic),
        partition=record.partition,
        offset=record.offset,
        timestamp=EPOCH + timedelta(milliseconds=max(record.timestamp or 0, 0)),
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
    )
