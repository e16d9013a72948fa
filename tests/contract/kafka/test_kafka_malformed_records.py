"""Kafka: no record stops its partition, whatever its producer wrote. A record that no broker takes is set aside alone."""

from collections.abc import Callable

import pytest
from kafka import KafkaProducer

from casebridge.errors import PermanentError
from casebridge.messaging.outbox.publication import Publication
from resources.kafka.lag import LagReader
from resources.kafka.producer import KafkaChannel
from tests.support.each_kafka import EACH, KAFKA_MARKS
from tests.support.kafka_broker import Broker
from tests.support.kafka_inbox import KafkaInbox, message_of
from tests.support.waiting import wait_until

pytestmark = KAFKA_MARKS


class _BadName(str):
    """The name of a header as another producer may send it: bytes that are not UTF-8."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe name"


FIRST_AND_LAST = (-(2**62), -1, 0, 253_402_300_800_000, 2**62)


def send_unusual_records(bench: KafkaInbox) -> int:
    """Send unusual records. Returns how many the broker took: some brokers refuse a time that is far away."""
    producer = KafkaProducer(bootstrap_servers=bench.settings.bootstrap_servers, max_block_ms=10_000)
    headers: list[list[tuple[str, bytes | None]]] = [
        [(_BadName("x"), b"1"), ("y", b"2")], [("", b"")], [("a", b"1"), ("a", b"2")], [("casebridge_effect-id", b"\xff")],
        [("b", b"\x00\xff" * 50_000)], [(f"n{number}", b"") for number in range(3000)],
    ]  # fmt: skip
    topic = bench.requests.name
    sent = [
        producer.send(topic, key=b"k", value=f"h{number}".encode(), headers=some) for number, some in enumerate(headers)
    ]
    for timestamp in FIRST_AND_LAST[2:]:
        producer.flush(10)  # in a batch of its own, because a broker refuses the whole batch for one record
        sent.append(producer.send(topic, key=b"k", value=f"t{timestamp}".encode(), timestamp_ms=timestamp))
    producer.flush(10)
    sent.append(producer.send(topic, key=b"k", value=b"last"))
    producer.flush(10)
    producer.close()
    taken = sum(one.succeeded() for one in sent)
    assert taken > len(headers)
    return taken


@EACH
def test_no_header_and_no_timestamp_of_a_record_stops_its_partition(
    broker: Broker, bench_on: Callable[..., KafkaInbox]
) -> None:
    bench = bench_on(broker, partitions=1)
    bench.make_topics()
    sent = send_unusual_records(bench)

    assert LagReader(bench.settings, bench.inbox.topics).read().away is None
    with bench.consuming():
        wait_until(lambda: bench.committed() == sent, "all are committed")

    assert len(bench.said()) == sent
    names = [header[0] for message in bench.queue.find({}, limit=100) for header in message["origin"]["headers"]]
    assert "\ufffd\ufffd name" in names


@EACH
def test_a_record_for_an_invalid_topic_is_a_permanent_error(
    broker: Broker, bench_on: Callable[..., KafkaInbox]
) -> None:
    bench = bench_on(broker)
    bench.make_topics()
    channel = KafkaChannel(bench.settings)
    for topic in ("no topic!", "x" * 250, "", "..", "a/b"):
        effect = Publication(topic, b"k", b"1").effect_of(message_of(b"1")).document()
        with pytest.raises(PermanentError) as raised:
            channel.deliver([effect])
        assert raised.value.code == "kafka.record_refused"
    good = Publication(bench.answers.name, b"good", b"3").effect_of(message_of(b"3")).document()
    assert channel.deliver([good]) == {}
    channel.close()
