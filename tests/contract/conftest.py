"""The MongoDB-protocol servers that the contract of the queue is held against."""

import os
from typing import Final

import pytest

from local_servers.child_process import Children
from local_servers.mongodb import EmbeddedMongoDB
from local_servers.secured_mongodb import SecuredMongoDB
from tests.certificates import CertificateFiles, make_certificate

NAMED: Final = os.environ.get("CASEBRIDGE_MONGODB_URI")
SERVERS: Final = ("embedded", "secured", *(["named"] if NAMED else []))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def secured_mongodb(children: Children, certificate: CertificateFiles) -> SecuredMongoDB:
    """With user, password and TLS in its address; drivers see a single server and no replica set."""
    return SecuredMongoDB(children, certificate.authority, certificate.certificate, certificate.key)


@pytest.fixture(scope="session", params=SERVERS)
def mongodb_uri(request: pytest.FixtureRequest, children: Children) -> str:
    """In place of the one server of the other rings: each that there is, one after the other."""
    if request.param == "embedded":
        return EmbeddedMongoDB(children, "mongodb-contract").uri
    if request.param == "secured":
        secured: SecuredMongoDB = request.getfixturevalue("secured_mongodb")
        return secured.uri
    assert NAMED
    return NAMED
