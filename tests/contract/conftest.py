"""The MongoDB-protocol servers and the secured Kafka that contract tests run against."""

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from casebridge.database import Database
from casebridge.settings import KafkaSettings, MongoDBSettings
from local_servers.child_process import Children
from local_servers.kafka import KafkaNotFoundError
from local_servers.mongodb import EmbeddedMongoDB
from local_servers.secured_kafka import SecuredKafka
from local_servers.secured_mongodb import SecuredMongoDB
from tests.support.certificates import CertificateFiles, make_certificate
from tests.support.kafka_broker import kafka_settings
from tests.support.kafka_inbox import KafkaInbox
from tests.support.mongodb_servers import EMBEDDED, NAMED_URI, SECURED, SERVERS
from tests.support.required_servers import required_in_ci


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def secured_mongodb(children: Children, certificate: CertificateFiles) -> SecuredMongoDB:
    """A single server, no replica set, with user, password and TLS."""
    return SecuredMongoDB(children, certificate.authority, certificate.certificate, certificate.key)


@pytest.fixture(scope="session")
def secured_kafka(children: Children, certificate: CertificateFiles) -> SecuredKafka:
    try:
        return SecuredKafka(children, certificate.certificate, certificate.key)
    except KafkaNotFoundError as error:
        required_in_ci(f"kafka: {error}")


@pytest.fixture(scope="session")
def embedded_mongodb(children: Children) -> EmbeddedMongoDB:
    """A replica set of one server."""
    return EmbeddedMongoDB(children, "mongodb-contract", replica_set=True)


@pytest.fixture(scope="session", params=SERVERS)
def mongodb_server(request: pytest.FixtureRequest) -> str:
    """The name of each available server, one after the other."""
    return str(request.param)


@pytest.fixture(scope="session")
def mongodb_uri(mongodb_server: str, request: pytest.FixtureRequest) -> SecretStr:
    """Replaces the one server of the other rings. Evaluated again at each change of server; the servers keep running."""
    if mongodb_server == EMBEDDED:
        embedded: EmbeddedMongoDB = request.getfixturevalue("embedded_mongodb")
        return SecretStr(embedded.uri)
    if mongodb_server == SECURED:
        secured: SecuredMongoDB = request.getfixturevalue("secured_mongodb")
        return SecretStr(secured.uri)
    return NAMED_URI


@pytest.fixture
def mongodb_settings(
    mongodb_settings: MongoDBSettings, mongodb_server: str, uses_server: Callable[[str], None]
) -> MongoDBSettings:
    """As in the other rings. The summary also names the kind of server."""
    if mongodb_server != EMBEDDED:
        uses_server(f"one {mongodb_server}")
    return mongodb_settings


@pytest.fixture
def bench_on(database: Database) -> Callable[..., KafkaInbox]:
    return lambda broker, **more: KafkaInbox(
        database, KafkaSettings.model_validate(kafka_settings(broker.address, **more))
    )
