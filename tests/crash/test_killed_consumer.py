"""A Kafka consumer is killed, or meets a defect, at each crash point that it reaches: nothing is lost or accepted twice."""

import signal
from collections.abc import Callable

import pytest

from casebridge.crash_points import CONSUMER_CRASH_POINTS
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import poll_answers
from tests.support.kafka_broker import Broker, Topic, kafka_settings
from tests.support.kafka_requests import request_values
from tests.support.processes import START_SECONDS, Crash, Processes
from tests.support.waiting import wait_until
from tests.support.world import World

REQUESTS = 3
PASSED = ("cases_written", "messages_written", "keys_written", *CONSUMER_CRASH_POINTS)


def test_every_crash_point_of_a_consumer_is_tested() -> None:
    assert set(PASSED) >= set(CONSUMER_CRASH_POINTS)


@pytest.fixture
def send_requests(broker: Broker, world: World) -> Callable[[], None]:
    """Makes a world with open requests, and sends them by Kafka like FS."""
    world.configure(kafka=kafka_settings(broker.address), queue={"lease_seconds": 1.0})
    world.populate(institutions=1, courses=1, requests=REQUESTS, variety=False)

    def send() -> None:
        values = request_values(world, world.process())
        assert len(values) == REQUESTS
        Topic(broker.address, world.settings.kafka.explanation_requests_topic).send(*values)

    return send


@pytest.mark.parametrize("point", PASSED)
def test_the_next_consumer_finishes_what_a_killed_one_began(
    point: str, send_requests: Callable[[], None], broker: Broker, world: World, processes: Processes
) -> None:
    doomed = processes.consumer(crash=Crash(point))
    wait_until(lambda: ": consuming " in doomed.log.read_text(), "it has its partitions", START_SECONDS)
    send_requests()
    assert doomed.process.wait(START_SECONDS) == -signal.SIGKILL, f"it never came to {point}:\n{doomed.log_end()}"

    survivor = processes.consumer()

    finish(world, broker)
    assert survivor.stop() == 0
    check_everything(world, REQUESTS)


@pytest.mark.parametrize("point", PASSED)
def test_a_defect_costs_a_consumer_nothing_but_time(
    point: str, send_requests: Callable[[], None], broker: Broker, world: World, processes: Processes
) -> None:
    consumer = processes.consumer(crash=Crash(point, kind="exception"))
    wait_until(lambda: ": consuming " in consumer.log.read_text(), "it has its partitions", START_SECONDS)
    send_requests()

    finish(world, broker)
    wait_until(lambda: "a defect: SimulatedCrashError" in consumer.log.read_text(), "the defect was met")
    assert consumer.stop() == 0
    check_everything(world, REQUESTS)


def finish(world: World, broker: Broker) -> None:
    """Wait until everything is accepted and committed, then do a listener's work here."""
    kafka = world.settings.kafka
    topic = Topic(broker.address, kafka.explanation_requests_topic)
    wait_until(lambda: topic.committed(kafka.group) == {0: REQUESTS}, "all offsets are committed", START_SECONDS)
    assert world.database.cases.count_documents({}) == REQUESTS
    process = world.process()

    def everything_is_done() -> bool:
        process.synchronisation.run_batch()
        poll_answers(process, process.stores.institutions.active())
        # Effects for Kafka count, too: the next batch tries them again.
        return world.control.summary()["outstanding"] == 0 and world.database.messages.count_documents({}) == 0

    wait_until(everything_is_done, "every request is registered and nothing is left in the queue", START_SECONDS)
