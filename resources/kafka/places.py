"""The offsets of our partitions. They are committed together with the id of the topic.

A topic may be deleted and created again under the same name. Then an old offset means nothing, and the partition is read from its
beginning. `consumer` fetches the records, and `topics` knows the ids of the topics.
"""

import logging
from collections.abc import Collection, Mapping, Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

logger = logging.getLogger(__name__)

Batch = Mapping[TopicPartition, Sequence[ConsumerRecord]]


class Places:
    """The offsets of one consumer. Not thread-safe.

    The consumer's rebalance listener is called in another thread, but only while the consumer's thread waits for it.
    """

    def __init__(self, consumer: KafkaConsumer, seconds: float) -> None:
        """`seconds` is how long a call to Kafka may take."""
        self._consumer = consumer
        self._timeout_ms = int(seconds * 1000)
        self._topic_ids: dict[TopicPartition, str | None] = {}
        """For each of our partitions, the id of the topic that our offset belongs to. None: not checked yet."""
        self._remembered: dict[TopicPartition, str] = {}
        """The same ids, also for partitions that were ours before. Not every broker stores the id with the offset."""

    def take(self, partitions: Collection[TopicPartition]) -> None:
        """Note that these partitions are ours. Their ids must be checked: other members may have committed any offset."""
        self._topic_ids.update(dict.fromkeys(partitions))

    def give_back(self) -> None:
        """Note that no partition is ours until the group has assigned them again. Until then Kafka answers no requests."""
        self._topic_ids.clear()

    def check(self, topic_ids: Mapping[str, str]) -> frozenset[TopicPartition]:
        """Return to the beginning of partitions whose topic was created again. Return those partitions.

        `topic_ids` has the current ids of the topics. Raises `KafkaError`; the check may be repeated later.
        """
        recreated = []
        for partition, known in self._topic_ids.items():
            current = topic_ids.get(partition.topic)
            if current is None or current == known:
                continue
            if (known or self._committed_in(partition) or self._remembered.get(partition)) not in {None, current}:
                recreated.append(partition)
            self._topic_ids[partition] = self._remembered[partition] = current
        if recreated:
            logger.warning(
                "the topic was deleted and made again, so it is read from its beginning: %s", named(recreated)
            )
            self._consumer.seek_to_beginning(*recreated)
        return frozenset(recreated)

    def commit(self, batch: Batch) -> None:
        """Commit the offset after the last record of each partition.

        If that fails, the records are read again. Their keys are known then, so nothing is done twice.
        """
        offsets = {
            partition: OffsetAndMetadata(records[-1].offset + 1, self._topic_ids.get(partition) or "", -1)
            for partition, records in batch.items()
            if records
        }
        if not offsets:
            return
        try:
            self._consumer.commit(offsets, timeout_ms=self._timeout_ms)
        except KafkaError as error:
            logger.info("offsets were not committed (%s): these records come again", type(error).__name__)

    def go_back(self, batch: Batch) -> None:
        """Return to the first record of the batch in each partition that is still ours."""
        for partition, records in batch.items():
            if partition in self._consumer.assignment():
                self._consumer.seek(partition, records[0].offset)

    def _committed_in(self, partition: TopicPartition) -> str | None:
        """The topic id of our group's last commit; None if there is no commit, or no id in it."""
        committed = self._consumer.committed(partition, metadata=True, timeout_ms=self._timeout_ms)
        return committed.metadata or None if committed else None


def named(partitions: Collection[TopicPartition]) -> str:
    """The partitions as logs name them: `topic|partition`."""
    return ", ".join(f"{partition.topic}|{partition.partition}" for partition in sorted(partitions))
