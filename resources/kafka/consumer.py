"""Carries records from Kafka to the inbox: a batch is accepted first and its offsets are committed after, never before.

Several processes may share one consumer group; Kafka gives each some partitions. What a record means is the inbox's business.
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

LOOK_SECONDS: Final = 0.25
"""How long one look for records lasts: as long as it takes to notice that the process shall end."""
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 5.0
CLOSE_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 120.0
"""A consumer that asks for nothing this long, because it hangs, loses its partitions."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_MILLISECONDS: Final = (datetime(9999, 12, 31, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
NOTHING: Final = "nothing: others have all partitions, or the topics are not there"


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
            places = Places(consumer, self._settings.request_seconds)
            consumer.subscribe(list(self._inbox.topics), listener=_Assignment(consumer, places))
            for topic in self._inbox.topics:
                # A member that leads its group and does not know the partitions yet would give out none.
                consumer.partitions_for_topic(topic)
            while not stop.is_set():
                self._look(consumer, places, watch, stop)
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

    def _look(self, consumer: KafkaConsumer, places: Places, watch: TopicWatch, stop: threading.Event) -> None:
        batch: Batch = consumer.poll(timeout_ms=int(LOOK_SECONDS * 1000))
        intake = self._accept(batch, watch.ids)
        if intake is None:
            places.go_back(batch)
            self._rest(stop)
            return
        watch.look_if_due()
        # After the batch was accepted: what was fetched from a topic that is gone comes from nowhere again.
        anew = places.check(watch.ids)
        if batch:
            places.commit({partition: records for partition, records in batch.items() if partition not in anew})
            crash_point("offsets_committed")
            self._told(intake)

    def _accept(self, batch: Batch, topic_ids: Mapping[str, str]) -> Intake | None:
        """None: the database is away, and nothing of the batch may be committed."""
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

    def _rest(self, stop: threading.Event) -> None:
        stop.wait(self._wait)
        self._wait = min(self._wait * 2, LONGEST_WAIT)


class _Assignment(ConsumerRebalanceListener):
    """Says which partitions are ours. Whatever was fetched before is accepted and committed by now, or comes again."""

    def __init__(self, consumer: KafkaConsumer, places: Places) -> None:
        self._coordinator = consumer._coordinator  # noqa: SLF001
        self._places = places

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        # A rebalance has begun, and has to be seen to its end. kafka-python 3.0.12 forgets one that it began because the topics
        # changed and that outlasts a look: such a member gets no partitions ever after, sends no heartbeat and spins.
        self._coordinator.request_rejoin()
        self._places.give_back()
        if revoked:
            logger.info("gave back %s", named(revoked))

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._places.take(assigned)
        logger.info("consuming %s", named(assigned) or NOTHING)


def written_at(record: ConsumerRecord) -> datetime:
    """When its producer says that it was written: any 64-bit number, so one outside of the calendar is its nearest end."""
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
