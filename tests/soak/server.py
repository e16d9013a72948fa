"""The MongoDB-protocol server of a soak: an embedded one of its own, or the one at the address in `CASEBRIDGE_MONGODB_URI`.

A server by address belongs to others. It is never killed. The databases have names of their own and are dropped afterwards. The
proxies connect to its primary. `directConnection` keeps the driver from asking the server for its address, because it would then
connect without the proxy.
"""

import ipaddress
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pymongo import MongoClient
from pymongo.errors import ServerSelectionTimeoutError

from casebridge.settings import MongoDBSettings
from local_servers.child_process import Children
from local_servers.mongodb import EmbeddedMongoDB

VARIABLE: Final = "CASEBRIDGE_MONGODB_URI"
SERVICE_RECORD: Final = "mongodb+srv"
OF_A_SET: Final = frozenset({"replicaset", "directconnection", "loadbalanced"})
"""Options that select one of several servers. Behind a proxy there is one."""


@dataclass(frozen=True)
class Server:
    """The address of the database server. `embedded` is its process if it is ours; it may be killed."""

    settings: MongoDBSettings
    host: str
    port: int
    embedded: EmbeddedMongoDB | None

    def uri_by(self, port: int) -> str:
        """The same server through the loopback port of a proxy, with the same user, password and TLS."""
        return by_port(self.settings.uri.get_secret_value(), port, self.host)


@contextmanager
def server_of_this_run(children: Children) -> Iterator[Server]:
    """The server, with two databases that only this run uses."""
    if not (address := os.environ.get(VARIABLE)):
        embedded = EmbeddedMongoDB(children)
        uri = by_port(embedded.uri, embedded.port, "127.0.0.1")
        yield Server(MongoDBSettings(uri=uri), "127.0.0.1", embedded.port, embedded)
        return
    name = f"soak_{uuid.uuid4().hex[:12]}"
    settings = MongoDBSettings(uri=address, config_database=f"{name}_config", oai_database=f"{name}_oai")
    with MongoClient[dict[str, Any]](address) as client:
        client.admin.command("ping")
        if client.address is None:
            raise ServerSelectionTimeoutError("the server has no primary")
        try:
            yield Server(settings, *client.address, None)
        finally:
            for database in (settings.config_database, settings.oai_database):
                client.drop_database(database)


def by_port(uri: str, port: int, host: str) -> str:
    """The address of the server `host` through a loopback port.

    The certificate of a server on another host is then checked without the name, because the proxy has another address.

    :raises ValueError: an address that only names a service record
    """
    parts = urlsplit(uri)
    if parts.scheme == SERVICE_RECORD:
        raise ValueError(f"a proxy needs an address with host and port, not {SERVICE_RECORD}")
    user, at, _ = parts.netloc.rpartition("@")
    options = {name: value for name, value in parse_qsl(parts.query) if name.lower() not in OF_A_SET}
    uses_tls = any(name.lower() in {"tls", "ssl"} and value == "true" for name, value in options.items())
    if uses_tls and not _is_loopback(host):
        options["tlsAllowInvalidHostnames"] = "true"
    query = urlencode({**options, "directConnection": "true"})
    return urlunsplit((parts.scheme, f"{user}{at}127.0.0.1:{port}", parts.path or "/", query, ""))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
