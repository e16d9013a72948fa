"""Kafka: the lag is exact, has an age, and says when the broker is away."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from resources.kafka.lag import LagReader
from tests.support.each_kafka import EACH, KAFKA_MARKS
from tests.support.kafka_broker import Broker
from tests.support.kafka_inbox import KafkaInbox, words
from tests.support.waiting import wait_until

pytestmark = KAFKA_MARKS


@EACH
def test_the_lag_is_exact_and_grows_old(broker: Broker, bench_on: Callable[..., KafkaInbox]) -> None:
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


def test_the_lag_of_a_broker_that_is_away_says_so(own_broker: Broker, bench_on: Callable[..., KafkaInbox]) -> None:
    bench = bench_on(own_broker)
    assert LagReader(bench.settings, bench.inbox.topics).read().away == "kafka.topics_missing"
    own_broker.child.kill()

    standing = LagReader(bench.settings, bench.inbox.topics).read()

    assert (standing.away, standing.partitions) == ("kafka.unreachable", ())
