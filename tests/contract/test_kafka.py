"""One suite against each Kafka broker: topics, offsets committed after the inbox has the records, groups, restarts, lag.

Readers of the domain are in `tests/integration`.
"""

import itertools
import json
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from kafka import KafkaAdminClient, KafkaProducer

from casebridge import crash_points
from casebridge.crash_points import CONSUMER_CRASH_POINTS
from casebridge.database import Database
from casebridge.errors import PermanentError
from casebridge.messaging.dead_record import announce_dead_record, dead_letter_topic
from casebridge.messaging.effects import Settlement
from casebridge.messaging.message import Failure, Message, MessageStatus
from casebridge.messaging.publication import EFFECT_ID, Publication
from casebridge.messaging.record import Record
from casebridge.messaging.record_inbox import RecordInbox
from casebridge.messaging.record_reader import Reading
from casebridge.settings import KafkaSettings
from resources.kafka.lag import LagReader
from resources.kafka.producer import KafkaChannel
from resources.kafka.topics import topic_names, topics_of
from tests.kafka_bench import Bench, EveryRecord, message_from, message_of, texts, words
from tests.kafka_broker import BROKERS, Broker, Topic, headers_of, kafka_settings
from tests.patience import wait_until

EACH = pytest.mark.parametrize("broker", BROKERS, indirect=True)
APACHE = pytest.mark.parametrize("broker", ["kafka"], indirect=True)
EACH_OWN = pytest.mark.parametrize("own_broker", BROKERS, indirect=True)

# kafka-python leaves the sockets of refused connections to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    # the queue's own suite runs on every database server; here it is the brokers that differ
    pytest.mark.parametrize("mongodb_server", ["embedded"], indirect=True, scope="session"),
]
SEVERAL = 12


@pytest.fixture
def bench_on(database: Database) -> Callable[..., Bench]:
    return lambda broker, **more: Bench(database, KafkaSettings.model_validate(kafka_settings(broker.address, **more)))


@EACH
def test_topics_are_made_each_with_its_dead_letters(broker: Broker, bench_on: Callable[..., Bench]) -> None:
    bench = bench_on(broker, partitions=2)

    bench.make_topics()
    bench.make_topics()

    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    try:
        described = admin.describe_topics(list(topic_names(bench.settings)))
    finally:
        admin.close()
    assert {topic["name"]: len(topic["partitions"]) for topic in described} == dict.fromkeys(
        topic_names(bench.settings), 2
    )
    assert len(described) == 12
    assert dead_letter_topic(bench.requests.name) in {topic["name"] for topic in described}


@EACH
def test_topics_that_are_there_stay_as_they_are(broker: Broker, bench_on: Callable[..., Bench]) -> None:
    bench = bench_on(broker)
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    try:
        admin.create_topics({bench.requests.name: {"num_partitions": 3, "replication_factor": 1}})
        bench.make_topics()
        (described,) = admin.describe_topics([bench.requests.name])
    finally:
        admin.close()

    assert len(described["partitions"]) == 3


@EACH
def test_two_makers_at_once_do_not_disturb_each_other(broker: Broker, bench_on: Callable[..., Bench]) -> None:
    bench = bench_on(broker)
    begin = threading.Barrier(4)
    ids: list[dict[str, str]] = []

    def make() -> None:
        with topics_of(bench.settings) as topics:
            begin.wait(timeout=10)
            ids.append(dict(topics.ensure()))

    makers = [threading.Thread(target=make) for _ in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(timeout=30)

    assert len(ids) == 4
    assert all(found == ids[0] for found in ids)
    assert set(ids[0]) == set(topic_names(bench.settings))


@EACH
def test_what_was_accepted_is_committed_and_does_not_come_again(broker: Broker, bench_on: Callable[..., Bench]) -> None:
    bench = bench_on(broker)
    bench.make_topics()
    bench.requests.send(*words(SEVERAL))

    with bench.consuming():
        wait_until(lambda: bench.committed() == SEVERAL, "all offsets are committed")
    assert bench.said() == texts(words(SEVERAL))

    bench.database.messages.delete_many({})
    bench.database.received_keys.delete_many({})
    bench.requests.send(*words(1, first=SEVERAL))
    with bench.consuming():
        wait_until(lambda: bench.committed() == SEVERAL + 1, "the next one is committed")
    assert bench.said() == texts(words(1, first=SEVERAL)), "only what came after the committed offset"


@EACH
@pytest.mark.parametrize("point", CONSUMER_CRASH_POINTS)
def test_a_defect_around_the_commit_loses_and_repeats_nothing(
    point: str, broker: Broker, bench_on: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_on(broker)
    bench.make_topics()
    bench.requests.send(*words(SEVERAL))
    monkeypatch.setattr(crash_points, "_armed", point)
    monkeypatch.setattr(crash_points, "_kind", "exception")
    monkeypatch.setattr(crash_points, "_passes", itertools.count())

    with bench.consuming():
        wait_until(lambda: bench.committed() == SEVERAL, "all offsets are committed at last")
        wait_until(lambda: next(crash_points._passes) > 0, "the defect was met")

    assert bench.said() == texts(words(SEVERAL))
    assert bench.database.messages.count_documents({}) == SEVERAL


@EACH
def test_two_consumers_share_the_partitions_and_one_takes_over(broker: Broker, bench_on: Callable[..., Bench]) -> None:
    bench = bench_on(broker, partitions=2)
    bench.make_topics()
    with ExitStack() as first, bench.consuming():
        first.enter_context(bench.consuming())
        for partition in (0, 1):
            bench.requests.send(*words(SEVERAL, first=partition * SEVERAL), partition=partition)
        wait_until(lambda: bench.committed() == 2 * SEVERAL, "both partitions are committed")

        first.close()
        for partition in (0, 1):
            bench.requests.send(*words(SEVERAL, first=(2 + partition) * SEVERAL), partition=partition)
        wait_until(lambda: bench.committed() == 4 * SEVERAL, "the one that is left has both")

    assert bench.said() == texts(words(4 * SEVERAL))


@EACH
def test_an_unreadable_record_holds_up_nothing(broker: Broker, bench_on: Callable[..., Bench]) -> None:
    bench = bench_on(broker, maximum_record_bytes=100)
    bench.make_topics()
    bench.requests.send(b"before", b"\xff\xfe not utf-8", b"x" * 101, None, b"after", key=b"k")

    with bench.consuming():
        wait_until(lambda: bench.committed() == 5, "all are committed")

    assert bench.said() == ["", "after", "before"]
    poison = bench.queue.find({"queue": "kafka-record"}, limit=100)
    assert sorted((message["origin"]["offset"], message["origin"]["value"]) for message in poison) == [
        (1, b"\xff\xfe not utf-8"),
        (2, None),
    ]
    assert len({message["correlationId"] for message in poison}) == 2


@EACH_OWN
def test_a_consumer_outlives_its_broker(own_broker: Broker, bench_on: Callable[..., Bench]) -> None:
    bench = bench_on(own_broker)
    bench.make_topics()
    bench.requests.send(*words(SEVERAL))
    with bench.consuming():
        wait_until(lambda: bench.committed() == SEVERAL, "the first are committed")

        own_broker.child.kill()
        own_broker.restart()
        bench.make_topics()
        bench.requests.send(*words(SEVERAL, first=SEVERAL))

        wait_until(lambda: bench.said() == texts(words(2 * SEVERAL)), "what came after the restart is there", 40.0)
        wait_until(lambda: bench.lag() == 0, "and committed")


@EACH
def test_a_topic_that_was_made_anew_is_read_from_its_beginning(broker: Broker, bench_on: Callable[..., Bench]) -> None:
    """Its first records stand at offsets that were read and committed in the one of the same name before it."""
    bench = bench_on(broker)
    bench.make_topics()
    bench.requests.send(*words(SEVERAL))
    with bench.consuming():
        wait_until(lambda: bench.committed() == SEVERAL, "all of the first topic is committed")
        first = ids_of(bench)
        bench.requests.delete()
        wait_until(
            lambda: ids_of(bench).get(bench.requests.name) not in {None, first[bench.requests.name]},
            "the consumer, or we, have made it again",
        )
        bench.requests.send(*words(SEVERAL + 1, first=SEVERAL))

        wait_until(lambda: bench.said() == texts(words(2 * SEVERAL + 1)), "nothing of the second was passed over", 40.0)


@APACHE
def test_a_member_sees_a_rebalance_to_its_end_that_outlasts_a_look(
    broker: Broker, bench_on: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    """The leader begins it because its topic is gone, and is between two looks when the last member joins, slow with its batch.

    Tansu lets nobody feel that a topic is gone.
    """
    caplog.set_level("INFO", logger="resources.kafka")
    caplog.set_level("DEBUG", logger="kafka.cluster")
    bench = bench_on(broker, partitions=2)
    bench.make_topics()
    leader, other = (Bench(bench.database, bench.settings.model_copy(update={"make_topics": False})) for _ in range(2))
    reader = SlowReader()
    other.inbox = RecordInbox(other.queue, {bench.requests.name: reader}, bench.settings.maximum_record_bytes)
    between_looks = PausingEvent()
    with leader.consuming(between_looks):
        wait_until(lambda: "|0, " in caplog.text, "the first has all partitions, and leads", 40.0)
        with other.consuming():
            wait_until(lambda: caplog.text.count("consuming ") == 3, "each has one", 40.0)
            for partition in (0, 1):
                bench.requests.send(*words(1, first=partition), partition=partition)
            assert reader.pause.reached.wait(20)
            caplog.clear()
            bench.requests.delete()
            wait_until(lambda: "gave back" in caplog.text, "the leader has begun a rebalance", 40.0)
            bench.make_topics()
            caplog.clear()
            wait_until(lambda: "topics: 1," in caplog.text, "the leader knows the new topic", 40.0)
            between_looks.pause = Pause()
            assert between_looks.pause.reached.wait(20)
            reader.pause.over.set()
            wait_until(lambda: "consuming " in caplog.text, "the other has what the leader gave out", 40.0)
            between_looks.pause.over.set()
        for partition in (0, 1):
            bench.requests.send(*words(1, first=2 + partition), partition=partition)

        wait_until(lambda: bench.said() == texts(words(4)), "the leader carries on alone", 40.0)


class Pause:
    """Somebody reaches a point, and waits there until it is over."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.over = threading.Event()

    def wait(self) -> None:
        self.reached.set()
        assert self.over.wait(60)


class SlowReader(EveryRecord):
    """Pauses at its first batch."""

    def __init__(self) -> None:
        self.pause = Pause()

    def read(self, records: Sequence[Record]) -> list[Reading]:
        self.pause.wait()
        return super().read(records)


class PausingEvent(threading.Event):
    """An end that a consumer asks for between its looks: it may have to wait for the answer."""

    pause: Pause | None = None

    def is_set(self) -> bool:
        if self.pause:
            self.pause.wait()
        return super().is_set()


@APACHE
def test_a_place_that_was_committed_in_another_topic_of_the_name_is_not_ours(
    broker: Broker, bench_on: Callable[..., Bench]
) -> None:
    """Nobody consumed while it was made anew: only what was committed tells one topic from the other. Tansu keeps no notes."""
    bench = bench_on(broker)
    bench.make_topics()
    bench.requests.send(*words(SEVERAL))
    bench.requests.commit(bench.settings.group, {0: (SEVERAL - 1, "the id of a topic that is gone")})

    with bench.consuming():
        wait_until(lambda: bench.said() == texts(words(SEVERAL)), "nothing was passed over")
        wait_until(lambda: bench.committed() == SEVERAL, "and the place is one of this topic")

    bench.database.messages.delete_many({})
    bench.database.received_keys.delete_many({})
    bench.requests.send(*words(1, first=SEVERAL))
    with bench.consuming():
        wait_until(lambda: bench.committed() == SEVERAL + 1, "the next one is committed")
    assert bench.said() == texts(words(1, first=SEVERAL)), "only what came after the committed place"


def ids_of(bench: Bench) -> dict[str, str]:
    with topics_of(bench.settings) as topics:
        return dict(topics.ensure())


def test_a_consumer_starts_before_its_broker_and_makes_the_topics(
    own_broker: Broker, bench_on: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="resources.kafka")
    bench = bench_on(own_broker)
    own_broker.child.kill()
    with bench.consuming():
        wait_until(lambda: "Kafka is away (kafka.unreachable" in caplog.text, "the outage is felt", 40.0)
        own_broker.restart()
        wait_until(lambda: "consuming " in caplog.text, "it has its partition", 40.0)
        bench.requests.send(*words(1))
        wait_until(lambda: bench.said() == texts(words(1)), "the record is there")


def test_a_long_outage_leaves_no_sockets_behind(
    own_broker: Broker, bench_on: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    """kafka-python tries again each second, and leaves each socket to the garbage collector."""
    caplog.set_level("INFO", logger="resources.kafka")
    bench = bench_on(own_broker)
    with bench.consuming():
        wait_until(lambda: "consuming " in caplog.text, "it has its partition", 40.0)
        at_work = psutil.Process().num_fds()
        own_broker.child.kill()
        wait_until(lambda: caplog.text.count("Kafka is away") == 4, "it has looked for its broker often", 60.0)

        assert psutil.Process().num_fds() < at_work + 10


@EACH
def test_a_publication_arrives_with_key_value_and_headers_in_order(
    broker: Broker, bench_on: Callable[..., Bench]
) -> None:
    bench = bench_on(broker)
    owed = [
        Publication(bench.answers.name, b"case", value, (("why", b"because"),)).owed_by(message_of(value))
        for value in words(SEVERAL)
    ]
    channel = KafkaChannel(bench.settings)

    assert channel.deliver([effect.document() for effect in owed]) == {}
    channel.close()

    records = bench.answers.read(SEVERAL)
    assert [record.value for record in records] == words(SEVERAL)
    assert {record.key for record in records} == {b"case"}
    assert [headers_of(record) for record in records] == [{"why": "because", EFFECT_ID: effect.id} for effect in owed]


@EACH_OWN
def test_what_a_broker_that_is_away_does_not_take_stays_owed(
    own_broker: Broker, bench_on: Callable[..., Bench]
) -> None:
    bench = bench_on(own_broker, request_seconds=2.0)
    channel = KafkaChannel(bench.settings)
    owed = [Publication(bench.answers.name, b"case", value).owed_by(message_of(value)).document() for value in words(4)]
    assert channel.deliver(owed[:1]) == {}

    own_broker.child.kill()
    assert set(channel.deliver(owed[1:])) == {effect["id"] for effect in owed[1:]}
    assert channel.deliver(owed[1:]) == {effect["id"]: "kafka.unreachable" for effect in owed[1:]}
    own_broker.restart()

    wait_until(lambda: channel.deliver(owed[1:]) == {}, "the broker takes it again", 40.0)
    kept = words(4) if own_broker.keeps_its_data else words(3, first=1)
    assert [record.value for record in bench.answers.read(len(kept))] == kept
    channel.close()


@EACH
def test_the_lag_is_exact_and_grows_old(broker: Broker, bench_on: Callable[..., Bench]) -> None:
    bench = bench_on(broker, partitions=2)
    bench.make_topics()
    reader = LagReader(bench.settings, bench.inbox.topics)
    began = datetime.now(UTC) - timedelta(seconds=5)

    assert reader.read().unread == 0
    bench.requests.send(*words(7), partition=0)
    bench.requests.send(*words(3), partition=0)
    bench.requests.send(*words(2), partition=1)
    standing = reader.read()
    assert [(lag.partition, lag.committed, lag.unread) for lag in standing.partitions] == [(0, 0, 10), (1, 0, 2)]
    assert all(lag.oldest_unread and lag.oldest_unread >= began for lag in standing.partitions)
    with bench.consuming():
        wait_until(lambda: bench.committed() == 12, "all is read")
    bench.requests.send(*words(4), partition=1)

    found = reader.read().partitions
    assert [(lag.partition, lag.committed, lag.unread) for lag in found] == [(0, 10, 0), (1, 2, 4)]
    assert found[0].oldest_unread is None


def test_the_lag_of_a_broker_that_is_away_says_so(own_broker: Broker, bench_on: Callable[..., Bench]) -> None:
    bench = bench_on(own_broker)
    assert LagReader(bench.settings, bench.inbox.topics).read().away == "kafka.topics_missing"
    own_broker.child.kill()

    standing = LagReader(bench.settings, bench.inbox.topics).read()

    assert (standing.away, standing.partitions) == ("kafka.unreachable", ())


FAILED_AT = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)


def dead_message(bench: Bench, value: bytes) -> tuple[Message, Settlement]:
    """A message that came by Kafka and has just been given up."""
    record = Record(bench.requests.name, "id", 0, 42, FAILED_AT, b"case", value, (("why", b"because"),))
    document = {**message_from(record).document(FAILED_AT), "origin": record.origin(), "generation": 2}
    document["errors"] = [{"at": FAILED_AT, "code": "wiseflow.timeout"}]
    failure = Failure(
        FAILED_AT + timedelta(minutes=13), 5, "find_exam", "transient", "wiseflow.timeout", "No answer.", "Replay it."
    )
    return Message.from_document(document), Settlement(MessageStatus.DEAD, "find_exam", failure)


@EACH
def test_a_dead_letter_bears_the_record_and_its_road(broker: Broker, bench_on: Callable[..., Bench]) -> None:
    bench = bench_on(broker)
    message, settlement = dead_message(bench, b'{"a": "\xc3\xb8"}')
    channel = KafkaChannel(bench.settings)

    assert channel.deliver([effect.document() for effect in announce_dead_record(message, settlement)]) == {}
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
def test_a_dead_letter_that_the_broker_will_not_take_is_told_without_its_value(
    broker: Broker, bench_on: Callable[..., Bench]
) -> None:
    """Apache Kafka takes a mebibyte; the embedded broker knows no limit."""
    bench = bench_on(broker)
    message, settlement = dead_message(bench, b"x" * (2 * 1024 * 1024))
    small = Publication(bench.answers.name, b"case", b"small").owed_by(message_of(b"small")).document()
    channel = KafkaChannel(bench.settings)

    owed = [effect.document() for effect in announce_dead_record(message, settlement)]
    assert channel.deliver([*owed, small]) == {}
    channel.close()

    (letter,) = Topic(broker.address, dead_letter_topic(bench.requests.name)).read(1)
    assert letter.value == b""
    assert "casebridge_value-withheld" in headers_of(letter)
    assert headers_of(letter)["kafka_dlt-original-offset"] == "42"
    assert [record.value for record in bench.answers.read(1)] == [b"small"]


@EACH
def test_one_that_the_client_will_not_send_is_named_and_holds_up_no_other(
    broker: Broker, bench_on: Callable[..., Bench]
) -> None:
    """A header without a value is sent as an empty one; a header that is none at all is the record's own fault."""
    bench = bench_on(broker)
    channel = KafkaChannel(bench.settings)
    topic = bench.answers.name
    null = Publication(topic, b"null", b"1", (("empty", None),)).owed_by(message_of(b"1")).document()
    impossible = Publication(topic, b"impossible", b"2").owed_by(message_of(b"2")).document()
    impossible["body"]["headers"] = [[7, b"x"]]
    good = Publication(topic, b"good", b"3").owed_by(message_of(b"3")).document()

    assert channel.deliver([null]) == {}
    with pytest.raises(PermanentError) as raised:
        channel.deliver([impossible])
    assert raised.value.code == "kafka.record_refused"
    assert channel.deliver([good]) == {}
    channel.close()
    assert [record.value for record in bench.answers.read(2)] == [b"1", b"3"]


class _BadName(str):
    """A header's name as a producer of another make may send it: bytes that are no UTF-8."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe name"


FIRST_AND_LAST = (-(2**62), -1, 0, 253_402_300_800_000, 2**62)


def send_odd(bench: Bench) -> int:
    """Records that Kafka takes from any producer; how many."""
    producer = KafkaProducer(bootstrap_servers=bench.settings.bootstrap_servers, max_block_ms=10_000)
    headers: list[list[tuple[str, bytes | None]]] = [
        [(_BadName("x"), b"1"), ("y", b"2")], [("", b"")], [("a", b"1"), ("a", b"2")], [("casebridge_effect-id", b"\xff")],
        [("b", b"\x00\xff" * 50_000)], [(f"n{number}", b"") for number in range(3000)],
    ]  # fmt: skip
    for number, some in enumerate(headers):
        producer.send(bench.requests.name, key=b"k", value=f"h{number}".encode(), headers=some)
    for timestamp in FIRST_AND_LAST[2:]:
        producer.send(bench.requests.name, key=b"k", value=f"t{timestamp}".encode(), timestamp_ms=timestamp)
    producer.send(bench.requests.name, key=b"k", value=b"last")
    producer.flush(10)
    producer.close()
    return len(headers) + 3 + 1


@EACH
def test_no_header_and_no_timestamp_of_a_record_stops_its_partition(
    broker: Broker, bench_on: Callable[..., Bench]
) -> None:
    bench = bench_on(broker, partitions=1)
    bench.make_topics()
    sent = send_odd(bench)

    assert LagReader(bench.settings, bench.inbox.topics).read().away is None
    with bench.consuming():
        wait_until(lambda: bench.committed() == sent, "all are committed")

    assert len(bench.said()) == sent
    names = [header[0] for message in bench.queue.find({}) for header in message["origin"]["headers"]]
    assert "\ufffd\ufffd name" in names


@EACH
def test_a_topic_that_no_broker_takes_is_the_records_own_fault(broker: Broker, bench_on: Callable[..., Bench]) -> None:
    bench = bench_on(broker)
    bench.make_topics()
    channel = KafkaChannel(bench.settings)
    for topic in ("no topic!", "x" * 250, "", "..", "a/b"):
        odd = Publication(topic, b"k", b"1").owed_by(message_of(b"1")).document()
        with pytest.raises(PermanentError) as raised:
            channel.deliver([odd])
        assert raised.value.code == "kafka.record_refused"
    good = Publication(bench.answers.name, b"good", b"3").owed_by(message_of(b"3")).document()
    assert channel.deliver([good]) == {}
    channel.close()
