"""TLS and logins of Kafka, on Apache Kafka. Right settings work, wrong ones are reported by a code, and no secret is shown."""

import gc
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from casebridge.database import Database
from casebridge.messaging.outbox.publication import Publication
from casebridge.settings import KafkaSettings
from local_servers.secured_kafka import STRANGER, USER, SecuredKafka
from resources.kafka.lag import LagReader
from resources.kafka.producer import KafkaChannel
from resources.kafka.topics import topic_names, topics_of
from tests.support.certificates import CertificateFiles, make_certificate
from tests.support.kafka_broker import kafka_settings
from tests.support.kafka_inbox import KafkaInbox, message_of, texts, words
from tests.support.waiting import wait_until

OTHER_PASSWORD: Final = "Tolv-Troll-Trommer"
WAYS_IN: Final = (
    ("SSL", None),
    ("SASL_SSL", "PLAIN"),
    ("SASL_SSL", "SCRAM-SHA-256"),
    ("SASL_SSL", "SCRAM-SHA-512"),
    ("SASL_PLAINTEXT", "SCRAM-SHA-512"),
)
REFUSALS: Final[dict[str, set[str]]] = {
    # About every other refusal of the broker gets lost (resources.kafka.connection).
    "wrong password": {"kafka.credentials_refused", "kafka.hung_up"},
    # A user does not see topics without the right to read them.
    "user without rights": {"kafka.forbidden", "kafka.topics_missing"},
    "authority of somebody else": {"kafka.certificate_refused"},
    "no such file": {"kafka.ca_file_unreadable"},
    "no TLS": {"kafka.hung_up"},
    "no login": {"kafka.hung_up"},
    "TLS where there is none": {"kafka.hung_up"},
}

# kafka-python leaves the sockets of refused connections to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <(socket|ssl):ResourceWarning"),
    # one database server is enough here: the suite of the queue runs on all of them
    pytest.mark.parametrize("mongodb_server", ["embedded"], indirect=True, scope="session"),
]


@pytest.fixture
def ways(
    secured_kafka: SecuredKafka, certificate: CertificateFiles, uses_server: Callable[[str], None]
) -> Iterator[Callable[..., KafkaSettings]]:
    """Settings for each way to log in. They are right except for the changes that the test asks for."""
    uses_server(f"{secured_kafka.summary} with TLS and logins")

    def way(protocol: str, mechanism: str | None, **other: Any) -> KafkaSettings:
        login = {"sasl_mechanism": mechanism, "user": USER, "password": secured_kafka.password} if mechanism else {}
        files = {"ca_file": str(certificate.authority)} if protocol.endswith("SSL") else {}
        address = secured_kafka.address_by(protocol)
        return KafkaSettings.model_validate(
            kafka_settings(address, **{"security_protocol": protocol, **login, **files, **other})
        )

    yield way
    gc.collect()  # kafka-python leaves sockets open; they must be collected while this test ignores their warnings


@pytest.fixture
def refused(
    ways: Callable[..., KafkaSettings], secured_kafka: SecuredKafka, tmp_path: Path
) -> dict[str, KafkaSettings]:
    def at(listener: str) -> dict[str, str]:
        return {"bootstrap_servers": secured_kafka.address_by(listener)}

    stranger = str(make_certificate(tmp_path).authority)
    return {
        "wrong password": ways("SASL_SSL", "SCRAM-SHA-512", password=OTHER_PASSWORD),
        "user without rights": ways("SASL_SSL", "PLAIN", user=STRANGER),
        "authority of somebody else": ways("SASL_SSL", "PLAIN", ca_file=stranger),
        "no such file": ways("SASL_SSL", "PLAIN", ca_file=str(tmp_path / "nothing.pem")),
        "no TLS": ways("SASL_PLAINTEXT", "PLAIN", **at("SASL_SSL")),
        "no login": ways("SSL", None, **at("SASL_SSL")),
        "TLS where there is none": ways("SASL_SSL", "PLAIN", **at("SASL_PLAINTEXT")),
    }


@contextmanager
def nothing_given_away(caplog: pytest.LogCaptureFixture, secured_kafka: SecuredKafka) -> Iterator[None]:
    """No secret may appear at the most verbose log level."""
    caplog.set_level(logging.DEBUG)
    yield
    for secret in (secured_kafka.password, OTHER_PASSWORD):
        # No assertion on the secret itself: its failure would print the secret.
        found = secret in caplog.text
        assert not found


def effect_of(bench: KafkaInbox) -> dict[str, Any]:
    return Publication(bench.answers.name, b"case", b"said").effect_of(message_of(b"said")).document()


@pytest.mark.parametrize(("protocol", "mechanism"), WAYS_IN)
def test_records_are_consumed_and_published(
    protocol: str,
    mechanism: str | None,
    ways: Callable[..., KafkaSettings],
    secured_kafka: SecuredKafka,
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = ways(protocol, mechanism)
    bench = KafkaInbox(database, settings, secured_kafka.address)
    channel = KafkaChannel(settings)
    with nothing_given_away(caplog, secured_kafka):
        bench.make_topics()
        bench.requests.send(*words(3))
        assert bench.lag() == 3
        with bench.consuming():
            wait_until(lambda: bench.committed() == 3, "all is committed")
        assert bench.said() == texts(words(3))
        assert bench.lag() == 0
        try:
            assert channel.deliver([effect_of(bench)]) == {}
        finally:
            channel.close()
        assert [record.value for record in bench.answers.read(1)] == [b"said"]


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_is_reported_by_its_code(
    kind: str,
    refused: dict[str, KafkaSettings],
    secured_kafka: SecuredKafka,
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Reported by the status, by the channel that publishes, and by the consumer, which keeps trying."""
    settings = refused[kind]
    bench = KafkaInbox(database, settings, secured_kafka.address)
    channel = KafkaChannel(settings)
    with nothing_given_away(caplog, secured_kafka), ThreadPoolExecutor() as pool, bench.consuming():
        standing = pool.submit(LagReader(settings, bench.inbox.topics).read)
        delivery = pool.submit(channel.deliver, [effect_of(bench)])
        assert standing.result().away in REFUSALS[kind]
        (code,) = delivery.result().values()
        assert code in REFUSALS[kind]
        wait_until(
            lambda: any(f"Kafka is away ({code}, " in caplog.text for code in REFUSALS[kind]), "it is told", 40.0
        )


def names_of(settings: KafkaSettings) -> dict[str, str]:
    """The names of its group and topics."""
    return {name: value for name, value in settings.model_dump().items() if name == "group" or name.endswith("_topic")}


def test_the_consumer_goes_on_when_the_login_is_right(
    ways: Callable[..., KafkaSettings],
    secured_kafka: SecuredKafka,
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    right = ways("SASL_SSL", "PLAIN")
    bench = KafkaInbox(database, right, secured_kafka.address)
    bench.make_topics()
    bench.requests.send(*words(2))
    with KafkaInbox(database, ways("SASL_SSL", "PLAIN", password=OTHER_PASSWORD, **names_of(right))).consuming():
        wait_until(lambda: "Kafka is away (" in caplog.text, "it is refused", 40.0)
    assert bench.said() == []
    with bench.consuming():
        wait_until(lambda: bench.said() == texts(words(2)), "nothing was lost")


@pytest.mark.parametrize("make_topics", [False, True])
def test_the_documented_rights_are_enough(
    make_topics: bool, ways: Callable[..., KafkaSettings], secured_kafka: SecuredKafka, database: Database
) -> None:
    """The rights that docs/kafka.md lists are enough."""
    settings = ways("SASL_SSL", "SCRAM-SHA-512", user=STRANGER, make_topics=make_topics)
    if not make_topics:
        KafkaInbox(database, ways("SASL_SSL", "PLAIN", **names_of(settings))).make_topics()
    grant(secured_kafka, ResourceType.GROUP, settings.group, ACLOperation.READ)
    consumed = {settings.explanation_requests_topic, settings.wiseflow_events_topic}
    for topic in topic_names(settings):
        grant(secured_kafka, ResourceType.TOPIC, topic, ACLOperation.READ if topic in consumed else ACLOperation.WRITE)
        if make_topics:
            grant(secured_kafka, ResourceType.TOPIC, topic, ACLOperation.CREATE)
    bench = KafkaInbox(database, settings, secured_kafka.address)
    channel = KafkaChannel(settings)
    with bench.consuming():
        wait_until(lambda: bench.requests.name in ids_of(settings), "the topics are there", 40.0)
        bench.requests.send(*words(3))
        wait_until(lambda: bench.said() == texts(words(3)), "all is accepted")
    assert LagReader(settings, bench.inbox.topics).read().unread == 0
    try:
        assert channel.deliver([effect_of(bench)]) == {}
    finally:
        channel.close()


def ids_of(settings: KafkaSettings) -> dict[str, str]:
    with topics_of(settings) as topics:
        return topics.ids()


def grant(broker: SecuredKafka, kind: ResourceType, name: str, operation: ACLOperation) -> None:
    right = ACL(f"User:{STRANGER}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name))
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    try:
        assert admin.create_acls([right])["succeeded"]
    finally:
        admin.close()
