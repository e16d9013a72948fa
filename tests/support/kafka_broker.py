"""The brokers that the tests run against, and what a test does with one: send records as FS would, and read topics."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import OffsetAndMetadata

from casebridge.settings import KafkaSettings
from local_servers.child_process import Child, Children
from local_servers.kafka import Kafka, KafkaNotFoundError
from local_servers.tansu import Tansu, TansuNotFoundError
from tests.support.required_servers import required_in_ci

BROKERS = ("tansu", "kafka")
READ_SECONDS = 20.0
SESSION_SECONDS = 2.0


class Broker(Protocol):
    """`local_servers.tansu` and `local_servers.kafka`."""

    keeps_its_data: bool
    counts_every_record: bool
    summary: str
    child: Child

    @property
    def address(self) -> str: ...

    def restart(self) -> None: ...


class Brokers:
    """Starts brokers. If a broker is not installed, the test that needs it is skipped with the reason."""

    def __init__(self, children: Children) -> None:
        self._children = children
        self._shared: dict[str, Broker] = {}

    def shared(self, name: str) -> Broker:
        if name not in self._shared:
            self._shared[name] = self.start(name)
        return self._shared[name]

    def start(self, name: str) -> Broker:
        try:
            return {"tansu": Tansu, "kafka": Kafka}[name](self._children, f"{name}-{uuid.uuid4().hex[:8]}")
        except (TansuNotFoundError, KafkaNotFoundError) as error:
            required_in_ci(f"{name}: {error}")


def kafka_settings(address: str, **more: Any) -> dict[str, Any]:
    """Settings for one test on a shared broker: a group and topics of its own, and a short session.

    With a short session the broker notices soon that a consumer has died.
    """
    name = uuid.uuid4().hex[:8]
    topics = {
        field: f"{name}-{KafkaSettings.model_fields[field].default}"
        for field in KafkaSettings.model_fields
        if field.endswith("_topic")
    }
    return {
        "bootstrap_servers": address,
        "group": name,
        "request_seconds": 5.0,
        "session_seconds": SESSION_SECONDS,
        "heartbeat_seconds": 0.3,
        **topics,
        **more,
    }


class Topic:
    """One topic, as FS and other programs use it."""

    def __init__(self, address: str, name: str) -> None:
        self._address = address
        self.name = name

    def send(
        self,
        *values: bytes | None,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> list[int]:
        """Send records and wait until the broker has them. Returns their offsets."""
        producer = KafkaProducer(
            bootstrap_servers=self._address, acks="all", allow_auto_create_topics=False, linger_ms=5
        )
        try:
            sent = [
                producer.send(self.name, value, key=key, partition=partition, headers=list(headers)) for value in values
            ]
            producer.flush(READ_SECONDS)
            return [future.get(timeout=0).offset for future in sent]
        finally:
            producer.close(timeout=5)

    def read(self, count: int, seconds: float = READ_SECONDS) -> list[ConsumerRecord]:
        """The first `count` records of all partitions. Fewer if no more arrive in time."""
        consumer = KafkaConsumer(
            bootstrap_servers=self._address, group_id=None, enable_auto_commit=False, fetch_max_wait_ms=50
        )
        try:
            consumer.assign(self._partitions(consumer))
            consumer.seek_to_beginning()
            found: list[ConsumerRecord] = []
            deadline = time.monotonic() + seconds
            while len(found) < count and time.monotonic() < deadline:
                for records in consumer.poll(timeout_ms=100).values():
                    found.extend(records)
            return found
        finally:
            consumer.close(autocommit=False, timeout_ms=1000)

    def committed(self, group: str) -> dict[int, int]:
        """The offsets that a group has committed, by partition."""
        consumer = KafkaConsumer(bootstrap_servers=self._address, group_id=group, enable_auto_commit=False)
        try:
            found = {
                partition.partition: consumer.committed(partition, timeout_ms=5000)
                for partition in self._partitions(consumer)
            }
            return {partition: offset for partition, offset in found.items() if offset is not None}
        finally:
            consumer.close(autocommit=False, timeout_ms=1000)

    def commit(self, group: str, offsets: Mapping[int, tuple[int, str]]) -> None:
        """Commit an offset and its metadata for each partition, like a member that has left since."""
        consumer = KafkaConsumer(bootstrap_servers=self._address, group_id=group, enable_auto_commit=False)
        try:
            consumer.assign(self._partitions(consumer))
            consumer.commit(
                {
                    TopicPartition(self.name, partition): OffsetAndMetadata(offset, metadata, -1)
                    for partition, (offset, metadata) in offsets.items()
                }
            )
        finally:
            consumer.close(autocommit=False, timeout_ms=1000)

    def delete(self) -> None:
        """Delete the topic, like an operator who is about to make it anew."""
        admin = KafkaAdminClient(bootstrap_servers=self._address)
        try:
            admin.delete_topics([self.name])
        finally:
            admin.close()

    def _partitions(self, consumer: KafkaConsumer) -> list[TopicPartition]:
        return [TopicPartition(self.name, partition) for partition in sorted(consumer.partitions_for_topic(self.name))]


def headers_of(record: ConsumerRecord) -> Mapping[str, str]:
    return {name: value.decode() for name, value in record.headers}
