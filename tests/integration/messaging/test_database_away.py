"""MongoDB goes away under a working listener, killed or frozen, and comes back with every acknowledged write.

The outage is scaled down. The driver gives up finding a server after 0.5 s instead of 3 s, and waits 1 s instead of 20 s for an
answer. So an outage of some three seconds stands for one of twenty. The listener is a real process, the server is the test's own.
"""

import signal
import uuid
from collections.abc import Callable, Iterator

import pytest

from casebridge.database import Database
from casebridge.settings import MongoDBSettings
from local_servers.child_process import Children
from local_servers.mongodb import EmbeddedMongoDB
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.kafka_broker import Broker, Topic, kafka_settings
from tests.support.kafka_requests import request_values
from tests.support.processes import Processes
from tests.support.waiting import wait_until
from tests.support.world import World

REQUESTS = 30
LOST_CALLS = 5
UNREACHABLE = 5


@pytest.fixture
def own_server(children: Children) -> Iterator[EmbeddedMongoDB]:
    server = EmbeddedMongoDB(children, f"mongodb-{uuid.uuid4().hex[:8]}")
    yield server
    server.child.stop()


@pytest.fixture
def mongodb_settings(own_server: EmbeddedMongoDB, uses_server: Callable[[str], None]) -> MongoDBSettings:
    """The settings of this test's own server, with scaled waits, instead of the shared one."""
    settings = MongoDBSettings(uri=own_server.uri, server_selection_seconds=0.5, socket_seconds=1.0)
    database = Database(settings)
    uses_server(f"{database.server_name()} killed and frozen")
    database.close()
    return settings


def kill(server: EmbeddedMongoDB) -> None:
    server.child.kill()


def freeze(server: EmbeddedMongoDB) -> None:
    server.child.process.send_signal(signal.SIGSTOP)


def thaw(server: EmbeddedMongoDB) -> None:
    server.child.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(("away", "back"), [(kill, EmbeddedMongoDB.restart), (freeze, thaw)], ids=["killed", "frozen"])
def test_a_listener_outlives_its_database(
    away: Callable[[EmbeddedMongoDB], None],
    back: Callable[[EmbeddedMongoDB], None],
    own_server: EmbeddedMongoDB,
    world: World,
    processes: Processes,
) -> None:
    world.configure(queue={"workers": 4})
    world.populate(institutions=3, courses=3, requests=REQUESTS)
    process = world.process()
    read_requests(process, process.stores.institutions.active())
    listener = processes.listener()
    world.control.wait("dispatched", REQUESTS // 4)

    away(own_server)
    wait_until(lambda: listener.log.read_text().count("the database is away") >= LOST_CALLS, "the outage is felt")
    assert processes.run("status").exit_code == UNREACHABLE
    assert listener.process.poll() is None
    back(own_server)

    def everything_is_registered() -> bool:
        poll_answers(process, process.stores.institutions.active())
        return world.control.summary()["outstanding"] == 0 and world.database.messages.count_documents({}) == 0

    wait_until(everything_is_registered, "everything is registered", seconds=40.0, every=0.2)
    assert listener.stop() == 0
    check_everything(world, REQUESTS)


def test_a_listener_starts_before_its_database(own_server: EmbeddedMongoDB, world: World, processes: Processes) -> None:
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    kill(own_server)
    listener = processes.listener()
    wait_until(lambda: "the database does not answer yet" in listener.log.read_text(), "the outage is felt")

    own_server.restart()
    process = world.process()
    read_requests(process, process.stores.institutions.active())

    world.control.wait("dispatched", 2)
    assert listener.stop() == 0


@pytest.mark.parametrize(("away", "back"), [(kill, EmbeddedMongoDB.restart), (freeze, thaw)], ids=["killed", "frozen"])
def test_a_consumer_commits_nothing_while_its_database_is_away(
    away: Callable[[EmbeddedMongoDB], None],
    back: Callable[[EmbeddedMongoDB], None],
    own_server: EmbeddedMongoDB,
    broker: Broker,
    world: World,
    processes: Processes,
) -> None:
    world.configure(kafka=kafka_settings(broker.address))
    world.populate(institutions=1, courses=1, requests=4, variety=False)
    kafka = world.settings.kafka
    topic = Topic(broker.address, kafka.explanation_requests_topic)
    consumer = processes.consumer()
    values = request_values(world, world.process())
    topic.send(*values[:2])
    wait_until(lambda: topic.committed(kafka.group) == {0: 2}, "the first are committed")

    away(own_server)
    topic.send(*values[2:])
    wait_until(lambda: consumer.log.read_text().count("nothing is committed") >= 2, "the outage is felt")
    assert topic.committed(kafka.group) == {0: 2}
    back(own_server)

    wait_until(lambda: topic.committed(kafka.group) == {0: 4}, "the rest is committed", seconds=40.0)
    assert world.database.messages.count_documents({}) == 4
    assert consumer.stop() == 0
