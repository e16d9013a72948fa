"""Where we stand in the partitions that are ours, as it is committed: together with the id of the topic.

In a topic that was made anew under the same name a place means nothing, whoever committed it, and whenever. Fetching records
is in `consumer`, which topics there are in `topics`.
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
    """Of one consumer; not thread-safe. Its listener is called in another thread, but while ours waits for it."""

    def __init__(self, consumer: KafkaConsumer, seconds: float) -> None:
        """`seconds`: how long a call may last."""
        self._consumer = consumer
        self._timeout_ms = int(seconds * 1000)
        self._topic_ids: dict[TopicPartition, str | None] = {}
        """The topic that our place is known to be one of, by partition that is ours. None: not looked at yet."""
        self._remembered: dict[TopicPartition, str] = {}
        """The same of partitions that were ours before: not every broker keeps what is noted with an offset."""

    def take(self, partitions: Collection[TopicPartition]) -> None:
        """They are ours now; who had them may have committed anything."""
        self._topic_ids.update(dict.fromkeys(partitions))

    def give_back(self) -> None:
        """None is ours until the group has given them out anew; it answers no question meanwhile."""
        self._topic_ids.clear()

    def check(self, topic_ids: Mapping[str, str]) -> frozenset[TopicPartition]:
        """Begin anew where our place is one of another topic, by the ids of today; return those partitions.

        Raises `KafkaError`; then it is asked again later.
        """
        anew = []
        for partition, known in self._topic_ids.items():
            today = topic_ids.get(partition.topic)
            if today is None or today == known:
                continue
            if (known or self._committed_in(partition) or self._remembered.get(partition)) not in {None, today}:
                anew.append(partition)
            self._topic_ids[partition] = self._remembered[partition] = today
        if anew:
            logger.warning("made anew, and read from the beginning: %s", named(anew))
            self._consumer.seek_to_beginning(*anew)
        return frozenset(anew)

    def commit(self, batch: Batch) -> None:
        """Behind the last record of each partition. What could not be committed comes again, and is known then."""
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
        """To where the batch began, in the partitions that are still ours."""
        for partition, records in batch.items():
            if partition in self._consumer.assignment():
                self._consumer.seek(partition, records[0].offset)

    def _committed_in(self, partition: TopicPartition) -> str | None:
        """The id of the topic in which our group last committed a place; None if it did not, or did not say."""
        committed = self._consumer.committed(partition, metadata=True, timeout_ms=self._timeout_ms)
        return committed.metadata or None if committed else None


def named(partitions: Collection[TopicPartition]) -> str:
    """As an operator reads them."""
    return ", ".join(f"{partition.topic}|{partition.partition}" for partition in sorted(partitions))
