"""Kafka: pending publications and dead letters are delivered, whatever the broker does."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from casebridge.errors import PermanentError
from casebridge.messaging.outbox.publication import EFFECT_ID, Publication
from casebridge.messaging.queue.message import Failure, Message, MessageStatus
from casebridge.messaging.queue.outcome import Outcome
from casebridge.sources.dead_record import announce_dead_record, dead_letter_topic
from casebridge.sources.record import Record
from resources.kafka.producer import KafkaChannel
from tests.support.each_kafka import EACH, EACH_OWN, KAFKA_MARKS
from tests.support.kafka_broker import Broker, Topic, headers_of
from tests.support.kafka_inbox import KafkaInbox, message_from, message_of, words
from tests.support.waiting import wait_until

pytestmark = KAFKA_MARKS
SEVERAL = 12
FAILED_AT = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)


@EACH
def test_a_publication_arrives_with_key_value_and_headers_in_order(
    broker: Broker, bench_on: Callable[..., KafkaInbox]
) -> None:
    bench = bench_on(broker)
    effects = [
        Publication(bench.answers.name, b"case", value, (("why", b"because"),)).effect_of(message_of(value))
        for value in words(SEVERAL)
    ]
    channel = KafkaChannel(bench.settings)

    assert channel.deliver([effect.document() for effect in effects]) == {}
    channel.close()

    records = bench.answers.read(SEVERAL)
    assert [record.value for record in records] == words(SEVERAL)
    assert {record.key for record in records} == {b"case"}
    assert [headers_of(record) for record in records] == [
        {"why": "because", EFFECT_ID: effect.id} for effect in effects
    ]


@EACH_OWN
def test_effects_stay_pending_while_the_broker_is_away(own_broker: Broker, bench_on: Callable[..., KafkaInbox]) -> None:
    bench = bench_on(own_broker, request_seconds=2.0)
    channel = KafkaChannel(bench.settings)
    effects = [
        Publication(bench.answers.name, b"case", value).effect_of(message_of(value)).document() for value in words(4)
    ]
    assert channel.deliver(effects[:1]) == {}

    own_broker.child.kill()
    assert set(channel.deliver(effects[1:])) == {effect["id"] for effect in effects[1:]}
    assert channel.deliver(effects[1:]) == {effect["id"]: "kafka.unreachable" for effect in effects[1:]}
    own_broker.restart()

    wait_until(lambda: channel.deliver(effects[1:]) == {}, "the broker takes it again", 40.0)
    kept = words(4) if own_broker.keeps_its_data else words(3, first=1)
    assert [record.value for record in bench.answers.read(len(kept))] == kept
    channel.close()


def dead_message(bench: KafkaInbox, value: bytes) -> tuple[Message, Outcome]:
    """A message that came by Kafka and has just become dead."""
    record = Record(bench.requests.name, "id", 0, 42, FAILED_AT, b"case", value, (("why", b"because"),))
    document = {**message_from(record).document(FAILED_AT), "origin": record.origin(), "generation": 2}
    document["errors"] = [{"at": FAILED_AT, "code": "wiseflow.timeout"}]
    failure = Failure(
        FAILED_AT + timedelta(minutes=13), 5, "find_exam", "transient", "wiseflow.timeout", "No answer.", "Replay it."
    )
    message = Message.from_document(document)
    return message, Outcome(message, MessageStatus.DEAD, "find_exam", failure)


@EACH
def test_a_dead_letter_has_the_record_and_its_origin(broker: Broker, bench_on: Callable[..., KafkaInbox]) -> None:
    bench = bench_on(broker)
    message, outcome = dead_message(bench, b'{"a": "\xc3\xb8"}')
    channel = KafkaChannel(bench.settings)

    assert channel.deliver([effect.document() for effect in announce_dead_record(message, outcome)]) == {}
    channel.close()

    (letter,) = Topic(broker.address, dead_letter_topic(bench.requests.name)).read(1)
    assert (letter.key, json.loads(letter.value)) == (b"case", {"a": "ø"})
    headers = dict(headers_of(letter))
    assert headers.pop(EFFECT_ID)
    assert headers == {
        "why": "because",
        "kafka_dlt-original-topic": bench.requests.name,
        "kafka_dlt-original-partition": "0",
        "kafka_dlt-original-offset": "42",
        "kafka_dlt-original-timestamp": "2026-01-08T09:00:00+00:00",
        "kafka_dlt-exception-fqcn": "casebridge.errors.TransientError",
        "kafka_dlt-exception-message": "wiseflow.timeout: No answer. Replay it.",
        "kafka_dlt-attempts": "5",
        "kafka_dlt-replays": "1",
        "kafka_dlt-first-failure": "2026-01-08T09:00:00+00:00",
        "kafka_dlt-last-failure": "2026-01-08T09:13:00+00:00",
        "kafka_dlt-correlation-id": message.correlation_id,
    }


@pytest.mark.parametrize("broker", ["kafka"], indirect=True)
def test_a_dead_letter_that_the_broker_refuses_is_sent_without_its_value(
    broker: Broker, bench_on: Callable[..., KafkaInbox]
) -> None:
    """Apache Kafka takes records up to one mebibyte. The embedded broker has no limit."""
    bench = bench_on(broker)
    message, outcome = dead_message(bench, b"x" * (2 * 1024 * 1024))
    small = Publication(bench.answers.name, b"case", b"small").effect_of(message_of(b"small")).document()
    channel = KafkaChannel(bench.settings)

    effects = [effect.document() for effect in announce_dead_record(message, outcome)]
    assert channel.deliver([*effects, small]) == {}
    channel.close()

    (letter,) = Topic(broker.address, dead_letter_topic(bench.requests.name)).read(1)
    assert letter.value == b""
    assert "casebridge_value-withheld" in headers_of(letter)
    assert headers_of(letter)["kafka_dlt-original-offset"] == "42"
    assert [record.value for record in bench.answers.read(1)] == [b"small"]


@EACH
def test_an_effect_that_the_client_cannot_send_is_named_and_blocks_no_other(
    broker: Broker, bench_on: Callable[..., KafkaInbox]
) -> None:
    """A header without a value is sent with an empty one. A header that is no header is the record's own fault."""
    bench = bench_on(broker)
    channel = KafkaChannel(bench.settings)
    topic = bench.answers.name
    null = Publication(topic, b"null", b"1", (("empty", None),)).effect_of(message_of(b"1")).document()
    impossible = Publication(topic, b"impossible", b"2").effect_of(message_of(b"2")).document()
    impossible["body"]["headers"] = [[7, b"x"]]
    good = Publication(topic, b"good", b"3").effect_of(message_of(b"3")).document()

    assert channel.deliver([null]) == {}
    with pytest.raises(PermanentError) as raised:
        channel.deliver([impossible])
    assert raised.value.code == "kafka.record_refused"
    assert channel.deliver([good]) == {}
    channel.close()
    assert [record.value for record in bench.answers.read(2)] == [b"1", b"3"]
