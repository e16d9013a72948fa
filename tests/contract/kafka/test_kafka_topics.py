"""Kafka: each topic is made once, with its topic of dead letters. A topic that was made anew is read from its beginning."""

import threading
from collections.abc import Callable

from kafka import KafkaAdminClient

from casebridge.sources.dead_record import dead_letter_topic
from resources.kafka.topics import topic_names, topics_of
from tests.support.each_kafka import APACHE, EACH, KAFKA_MARKS
from tests.support.kafka_broker import Broker
from tests.support.kafka_inbox import KafkaInbox, texts, words
from tests.support.waiting import wait_until

pytestmark = KAFKA_MARKS
SEVERAL = 12


def ids_of(bench: KafkaInbox) -> dict[str, str]:
    with topics_of(bench.settings) as topics:
        return dict(topics.ensure())


@EACH
def test_topics_are_made_each_with_its_dead_letters(broker: Broker, bench_on: Callable[..., KafkaInbox]) -> None:
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
def test_existing_topics_are_not_changed(broker: Broker, bench_on: Callable[..., KafkaInbox]) -> None:
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
def test_two_makers_at_once_do_not_disturb_each_other(broker: Broker, bench_on: Callable[..., KafkaInbox]) -> None:
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
def test_a_topic_that_was_made_anew_is_read_from_its_beginning(
    broker: Broker, bench_on: Callable[..., KafkaInbox]
) -> None:
    """Its first records have offsets that were read and committed in the earlier topic of the same name."""
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
def test_an_offset_committed_in_an_earlier_topic_of_the_same_name_is_ignored(
    broker: Broker, bench_on: Callable[..., KafkaInbox]
) -> None:
    """Nobody consumed while the topic was made anew. Only the commit shows that it is another one. Tansu stores no metadata."""
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
