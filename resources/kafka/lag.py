"""How far the consumer group is behind: unread records by partition, and since when the oldest waits.

The end of a partition is the high-water mark of a fetch, not the broker's own answer: one broker in use (Tansu) counts a batch of
several records as one in that answer. The reader fetches at most one record of each partition and commits nothing.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from casebridge.settings import KafkaSettings
from resources.kafka.causes import NEXT_ACTIONS, TOPICS_MISSING, cause_of
from resources.kafka.connection import client_options, connected
from resources.kafka.consumer import written_at

POLL_SECONDS: Final = 2.0
POLL_MILLISECONDS: Final = 100
ONE_BYTE: Final = 1


@dataclass(frozen=True)
class PartitionLag:
    """The lag of one partition. `oldest_unread` is when its first unread record was written, by its producer's clock."""

    topic: str
    partition: int
    committed: int
    unread: int
    oldest_unread: datetime | None


@dataclass(frozen=True)
class KafkaStatus:
    """The lag of all consumed partitions, or the code of why it cannot be read."""

    partitions: tuple[PartitionLag, ...] = ()
    away: str | None = None

    @property
    def next_action(self) -> str:
        """What to do if Kafka is away."""
        return NEXT_ACTIONS[self.away] if self.away else "nothing"

    @property
    def unread(self) -> int:
        return sum(partition.unread for partition in self.partitions)

    def plain(self) -> dict[str, Any]:
        return {**asdict(self), "unread": self.unread}


class LagReader:
    """Reads the lag of one consumer group. Each read has a connection of its own."""

    def __init__(self, settings: KafkaSettings, topics: Sequence[str]) -> None:
        self._settings = settings
        self._topics = topics

    def read(self) -> KafkaStatus:
        """Read the lag. Never raises for Kafka: if it is away, the status has the code."""
        try:
            consumer = connected(
                KafkaConsumer,
                **client_options(self._settings),
                group_id=self._settings.group,
                enable_auto_commit=False,
                allow_auto_create_topics=False,
                isolation_level="read_uncommitted",
                fetch_max_wait_ms=POLL_MILLISECONDS,
                fetch_max_bytes=ONE_BYTE,
                max_partition_fetch_bytes=ONE_BYTE,
            )
        except (KafkaError, OSError, ValueError) as error:
            return KafkaStatus(away=cause_of(error))
        try:
            return self._read(consumer)
        except (KafkaError, ValueError) as error:
            return KafkaStatus(away=cause_of(error))
        finally:
            consumer.close(autocommit=False, timeout_ms=POLL_MILLISECONDS)

    def _read(self, consumer: KafkaConsumer) -> KafkaStatus:
        partitions = [
            TopicPartition(topic, partition)
            for topic in self._topics
            for partition in sorted(consumer.partitions_for_topic(topic))
        ]
        if not partitions:
            return KafkaStatus(away=TOPICS_MISSING)
        # Not by a subscription: that would join the group and take partitions away from its consumers.
        consumer.assign(partitions)
        beginnings = consumer.beginning_offsets(partitions)
        committed = {}
        for partition in partitions:
            known = consumer.committed(partition, timeout_ms=int(self._settings.request_seconds * 1000))
            committed[partition] = max(known or 0, beginnings[partition])
            consumer.seek(partition, committed[partition])
        first = _first_unread(consumer, partitions)
        lags = [
            PartitionLag(
                partition.topic,
                partition.partition,
                committed[partition],
                max(0, (consumer.highwater(partition) or 0) - committed[partition]),
                first.get(partition),
            )
            for partition in partitions
        ]
        return KafkaStatus(tuple(lags))


def _first_unread(consumer: KafkaConsumer, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, datetime]:
    """Poll until the end of each partition is known. Return when the first unread record of each was written."""
    first: dict[TopicPartition, datetime] = {}
    deadline = time.monotonic() + POLL_SECONDS
    while any(consumer.highwater(partition) is None for partition in partitions) and time.monotonic() < deadline:
        for partition, records in consumer.poll(timeout_ms=POLL_MILLISECONDS, max_records=1).items():
            first.setdefault(partition, written_at(records[0]))
            consumer.pause(partition)
    return first
