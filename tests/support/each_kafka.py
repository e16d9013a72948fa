"""Marks that say against which Kafka brokers a contract test runs: `@EACH`, and `pytestmark = KAFKA_MARKS` in its file."""

import pytest

from tests.support.kafka_broker import BROKERS

EACH = pytest.mark.parametrize("broker", BROKERS, indirect=True)
APACHE = pytest.mark.parametrize("broker", ["kafka"], indirect=True)
EACH_OWN = pytest.mark.parametrize("own_broker", BROKERS, indirect=True)

# kafka-python leaves the sockets of refused connections to the garbage collector.
KAFKA_MARKS = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    # one database server is enough here: the suite of the queue runs on all of them
    pytest.mark.parametrize("mongodb_server", ["embedded"], indirect=True, scope="session"),
]
