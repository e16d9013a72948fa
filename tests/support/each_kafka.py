"""Which Kafka brokers a test of the contract suite runs against: `@EACH`, and `pytestmark = KAFKA_MARKS` in its file."""

import pytest

from tests.support.kafka_broker import BROKERS

EACH = pytest.mark.parametrize("broker", BROKERS, indirect=True)
APACHE = pytest.mark.parametrize("broker", ["kafka"], indirect=True)
EACH_OWN = pytest.mark.parametrize("own_broker", BROKERS, indirect=True)

# kafka-python leaves the sockets of refused connections to the garbage collector.
KAFKA_MARKS = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    # the queue's own suite runs on every database server; here it is the brokers that differ
    pytest.mark.parametrize("mongodb_server", ["embedded"], indirect=True, scope="session"),
]
