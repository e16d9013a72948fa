"""Kafka: offsets are committed after the inbox has the records. Groups, restarts and outages lose and repeat nothing.

Readers of the domain are tested in `tests/integration`.
"""

import itertools
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import psutil
import pytest
from kafka import KafkaConsumer

from casebridge import crash_points
from casebridge.crash_points import CONSUMER_CRASH_POINTS
from casebridge.sources.record import Record
from casebridge.sources.record_inbox import RecordInbox
from casebridge.sources.record_reader import Reading
from resources.kafka.connection import connected
from tests.support.each_kafka import APACHE, EACH, EACH_OWN, KAFKA_MARKS
from tests.support.kafka_broker import Broker
from tests.support.kafka_inbox import EveryRecord, KafkaInbox, texts, words
from tests.support.waiting import wait_until

pytestmark = KAFKA_MARKS
SEVERAL = 12


@EACH
def test_accepted_records_are_committed_and_not_read_again(broker: Broker, bench_on: Callable[..., KafkaInbox]) -> None:
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
    point: str, broker: Broker, bench_on: Callable[..., KafkaInbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_on(broker)
    bench.make_topics()
    bench.requests.send(*words(SEVERAL))
    monkeypatch.setattr(crash_points, "_armed", point)
    monkeypatch.setattr(crash_points, "_kind", "exception")
    passes = itertools.count()
    monkeypatch.setattr(crash_points, "_passes", passes)

    with bench.consuming():
        wait_until(lambda: bench.committed() == SEVERAL, "all offsets are committed at last")
        wait_until(lambda: next(passes) > 0, "the defect was met")

    assert bench.said() == texts(words(SEVERAL))
    assert bench.database.messages.count_documents({}) == SEVERAL


@EACH
def test_two_consumers_share_the_partitions_and_one_takes_over(
    broker: Broker, bench_on: Callable[..., KafkaInbox]
) -> None:
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
def test_an_unreadable_record_does_not_stop_the_others(broker: Broker, bench_on: Callable[..., KafkaInbox]) -> None:
    bench = bench_on(broker, maximum_record_bytes=100)
    bench.make_topics()
    bench.requests.send(b"before", b"\xff\xfe not utf-8", b"x" * 101, None, b"after", key=b"k")

    with bench.consuming():
        wait_until(lambda: bench.committed() == 5, "all are committed")

    assert bench.said() == ["", "after", "before"]
    unreadable = bench.queue.find({"queue": "kafka-record"}, limit=100)
    assert sorted((message["origin"]["offset"], message["origin"]["value"]) for message in unreadable) == [
        (1, b"\xff\xfe not utf-8"),
        (2, None),
    ]
    assert len({message["correlationId"] for message in unreadable}) == 2


@EACH_OWN
def test_a_consumer_outlives_its_broker(own_broker: Broker, bench_on: Callable[..., KafkaInbox]) -> None:
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


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[KafkaConsumer]:
    """The Kafka consumers that the test's consumers open, in order."""
    opened: list[KafkaConsumer] = []

    def open_and_keep(client: Any, **options: Any) -> KafkaConsumer:
        opened.append(connected(client, **options))
        return opened[-1]

    monkeypatch.setattr("resources.kafka.consumer.connected", open_and_keep)
    return opened


@APACHE
def test_a_member_finishes_a_rebalance_that_takes_longer_than_one_check(
    broker: Broker,
    bench_on: Callable[..., KafkaInbox],
    caplog: pytest.LogCaptureFixture,
    opened: list[KafkaConsumer],
) -> None:
    """The leader starts a rebalance because its topic is gone. The last member joins late, because it is slow with its batch.

    At that moment the leader is between two checks. Tansu is left out because its consumers do not notice a missing topic.
    """
    caplog.set_level("INFO", logger="resources.kafka")
    bench = bench_on(broker, partitions=2)
    bench.make_topics()
    leader, other = (
        KafkaInbox(bench.database, bench.settings.model_copy(update={"make_topics": False})) for _ in range(2)
    )
    reader = SlowReader()
    other.inbox = RecordInbox(other.queue, {bench.requests.name: reader}, bench.settings.maximum_record_bytes)
    between_checks = PausingEvent()
    with leader.consuming(between_checks):
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
            known = opened[0]._client.cluster.partitions_for_topic  # noqa: SLF001 what it knows without asking
            wait_until(lambda: known(bench.requests.name), "the leader knows the new topic", 40.0)
            between_checks.pause = Pause()
            assert between_checks.pause.reached.wait(20)
            caplog.clear()
            reader.pause.over.set()
            wait_until(lambda: "consuming " in caplog.text, "the other has what the leader gave out", 40.0)
            between_checks.pause.over.set()
        for partition in (0, 1):
            bench.requests.send(*words(1, first=2 + partition), partition=partition)

        wait_until(lambda: bench.said() == texts(words(4)), "the leader carries on alone", 40.0)


class Pause:
    """A thread that reaches this point waits until `over` is set."""

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
    """The stop event of a consumer. While `pause` is set, a check of the event waits."""

    pause: Pause | None = None

    def is_set(self) -> bool:
        if self.pause:
            self.pause.wait()
        return super().is_set()


def test_a_consumer_starts_before_its_broker_and_makes_the_topics(
    own_broker: Broker, bench_on: Callable[..., KafkaInbox], caplog: pytest.LogCaptureFixture
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
    own_broker: Broker, bench_on: Callable[..., KafkaInbox], caplog: pytest.LogCaptureFixture
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
