"""Carries records from Kafka to the inbox. The offsets of a batch are committed only after the inbox has accepted it.

Several processes may share one consumer group; Kafka gives each some partitions. The inbox decides what a record means.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from pymongo.errors import PyMongoError

from casebridge.crash_points import crash_point
from casebridge.defect import log_defect
from casebridge.settings import KafkaSettings
from casebridge.sources.record import Record
from casebridge.sources.record_inbox import Intake, RecordInbox
from resources.kafka.causes import say_that_kafka_is_away
from resources.kafka.connection import client_options, connected
from resources.kafka.places import Batch, Places, named
from resources.kafka.topics import TopicWatch

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.25
"""How long one poll waits for records. It is also how long it may take until the end of the process is noticed."""
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 5.0
CLOSE_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 120.0
"""A consumer that does not poll for this long loses its partitions."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_MILLISECONDS: Final = (datetime(9999, 12, 31, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
NOTHING: Final = "nothing: others have all partitions, or the topics are not there"


class InboxConsumer:
    """One member of the consumer group. It runs until it is stopped, also through outages of Kafka and the database."""

    def __init__(
        self, settings: KafkaSettings, inbox: RecordInbox, on_accepted: Callable[[Intake], None] = lambda _intake: None
    ) -> None:
        """`on_accepted` is called after the offsets of an accepted batch were committed."""
        self._settings = settings
        self._inbox = inbox
        self._on_accepted = on_accepted
        self._wait = FIRST_WAIT

    def run(self, stop: threading.Event) -> None:
        """Consume until `stop` is set. Then finish the current batch and leave the group."""
        while not stop.is_set():
            try:
                self._consume(stop)
            except (KafkaError, OSError, ValueError) as error:
                say_that_kafka_is_away(error)
                self._pause(stop)
            except Exception as error:  # noqa: BLE001 a defect must not end the process; what was not committed is read again
                log_defect(error)
                self._pause(stop)

    def _consume(self, stop: threading.Event) -> None:
        """Consume with one `KafkaConsumer` until `stop` is set. It reconnects by itself after an outage."""
        watch = TopicWatch(self._settings)
        consumer = None
        try:
            watch.refresh()
            consumer = self._open()
            places = Places(consumer, self._settings.request_seconds)
            consumer.subscribe(list(self._inbox.topics), listener=_Assignment(consumer, places))
            for topic in self._inbox.topics:
                # The leader of a group assigns only partitions that it knows, so it must know them before it joins.
                consumer.partitions_for_topic(topic)
            while not stop.is_set():
                self._poll_once(consumer, places, watch, stop)
        finally:
            watch.close()
            if consumer is not None:
                consumer.close(autocommit=False, timeout_ms=int(CLOSE_SECONDS * 1000))

    def _open(self) -> KafkaConsumer:
        settings = self._settings
        return connected(
            KafkaConsumer,
            **client_options(settings),
            group_id=settings.group,
            enable_auto_commit=False,
            # A group that is new, or has lost its offsets, reads from the beginning. Keys prevent duplicate messages.
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            isolation_level="read_committed",
            session_timeout_ms=int(settings.session_seconds * 1000),
            heartbeat_interval_ms=int(settings.heartbeat_seconds * 1000),
            fetch_max_wait_ms=int(settings.fetch_wait_seconds * 1000),
            max_poll_records=settings.batch_records,
            max_poll_interval_ms=int(SILENT_SECONDS * 1000),
        )

    def _poll_once(self, consumer: KafkaConsumer, places: Places, watch: TopicWatch, stop: threading.Event) -> None:
        batch: Batch = consumer.poll(timeout_ms=int(POLL_SECONDS * 1000))
        intake = self._accept(batch, watch.ids)
        if intake is None:
            places.go_back(batch)
            self._pause(stop)
            return
        watch.refresh_if_due()
        # Only after the batch was accepted: records of a topic that was deleted cannot be fetched again.
        recreated = places.check(watch.ids)
        if batch:
            places.commit({partition: records for partition, records in batch.items() if partition not in recreated})
            crash_point("offsets_committed")
            self._on_accepted(intake)

    def _accept(self, batch: Batch, topic_ids: Mapping[str, str]) -> Intake | None:
        """Put a batch into the inbox. None if the database is away: then nothing of the batch may be committed."""
        if not batch:
            return Intake()
        try:
            intake = self._inbox.accept([_record(record, topic_ids) for found in batch.values() for record in found])
        except PyMongoError as error:
            logger.warning("the database is away (%s): nothing is committed", type(error).__name__)
            return None
        crash_point("records_accepted")
        self._wait = FIRST_WAIT
        return intake

    def _pause(self, stop: threading.Event) -> None:
        stop.wait(self._wait)
        self._wait = min(self._wait * 2, LONGEST_WAIT)


class _Assignment(ConsumerRebalanceListener):
    """Notes which partitions are ours.

    Records that were fetched before are accepted and committed by now, or are read again.
    """

    def __init__(self, consumer: KafkaConsumer, places: Places) -> None:
        self._coordinator = consumer._coordinator  # noqa: SLF001
        self._places = places

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        # kafka-python 3.0.12 forgets a rebalance that it began because the topics changed, if it lasts longer than a poll. Such
        # a member would never get partitions again: it sends no heartbeat and loops. So we request the rebalance ourselves.
        self._coordinator.request_rejoin()
        self._places.give_back()
        if revoked:
            logger.info("gave back %s", named(revoked))

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._places.take(assigned)
        logger.info("consuming %s", named(assigned) or NOTHING)


def written_at(record: ConsumerRecord) -> datetime:
    """When the record was written, by its producer's clock.

    The timestamp may be any 64-bit number. One outside the calendar becomes the first or the last moment of it.
    """
    return EPOCH + timedelta(milliseconds=min(max(record.timestamp or 0, 0), LATEST_MILLISECONDS))


def _record(record: ConsumerRecord, topic_ids: Mapping[str, str]) -> Record:
    return Record(
        topic=record.topic,
        topic_id=topic_ids.get(record.topic),
        partition=record.partition,
        offset=record.offset,
        timestamp=written_at(record),
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
    )
