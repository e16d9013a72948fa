"""The database's address through a proxy, as the soak uses it."""

import pytest
from pymongo.uri_parser import parse_uri

from tests.soak.server import by_port

AWKWARD = "mongodb://case%20bridge:p%40%2F%3A%25@db.example.org:27018"


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("mongodb://127.0.0.1:27017", "127.0.0.1"),
        ("mongodb://127.0.0.1:27017/?tls=true&appName=casebridge", "127.0.0.1"),
        (f"{AWKWARD}/?authSource=admin&tls=true", "db.example.org"),
        (f"{AWKWARD},other.example.org:1/?replicaSet=rs0&directConnection=false", "db.example.org"),
    ],
)
def test_only_host_and_port_change(uri: str, host: str) -> None:
    before, after = parse_uri(uri), parse_uri(by_port(uri, 4711, host))
    assert after["nodelist"] == [("127.0.0.1", 4711)]
    assert after["options"]["directConnection"]
    assert (after["username"], after["password"]) == (before["username"], before["password"])
    for name in ("tls", "appName", "authSource"):
        assert after["options"].get(name) == before["options"].get(name)


@pytest.mark.parametrize(
    ("uri", "host", "lenient"),
    [
        ("mongodb://db.example.org/?tls=true", "db.example.org", True),
        ("mongodb://db.example.org/?ssl=true", "db.example.org", True),
        ("mongodb://127.0.0.1:1/?tls=true", "127.0.0.1", False),
        ("mongodb://db.example.org", "db.example.org", False),
    ],
)
def test_the_name_in_a_certificate_is_compared_where_it_can_be_right(uri: str, host: str, *, lenient: bool) -> None:
    assert ("tlsAllowInvalidHostnames=true" in by_port(uri, 1, host)) is lenient


def test_a_service_record_is_refused() -> None:
    with pytest.raises(ValueError, match="host and port"):
        by_port("mongodb+srv://db.example.org", 1, "db.example.org")
