"""A proxy before a MongoDB-protocol server that loses one chosen write: its request, or the answer to it.

The client's connection breaks, so the client cannot know whether the server has done the write.
The client connects to the proxy without TLS. The proxy connects to the server with TLS if the server's address says so.
"""

import contextlib
import socket
import ssl
import struct
import threading
from enum import StrEnum
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, urlencode

from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.uri_parser import parse_uri

WRITES: Final = frozenset({"insert", "update", "delete", "findAndModify"})
OP_MSG: Final = 2013
HEADER_BYTES: Final = 16
COMMAND_NAME_AT: Final = 26
"""In OP_MSG: header, flags (4), kind of the first section (1), length of its document (4), type of its first field (1)."""
STOP_SECONDS: Final = 5.0


class Lost(StrEnum):
    """What the proxy loses."""

    REQUEST = "request"
    ANSWER = "answer"


class CuttingProxy:
    """Listens on a free loopback port at `uri`, for the server at `server_uri`."""

    def __init__(self, server_uri: SecretStr) -> None:
        parsed = parse_uri(server_uri.get_secret_value())
        with MongoClient[dict[str, Any]](server_uri.get_secret_value()) as client:
            client.admin.command("ping")
            address = client.address
        assert address is not None
        self._server = address
        self._tls = _tls(parsed["options"])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = SecretStr(_plain_address(self._listener.getsockname()[1], parsed))
        self._lock = threading.Lock()
        self._lost: Lost | None = None
        self._countdown = 0
        self._connections: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> "CuttingProxy":
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(STOP_SECONDS)

    def lose(self, lost: Lost, write: int) -> None:
        """Lose the request or the answer of the `write`-th write from now, counting from 1."""
        with self._lock:
            self._lost, self._countdown = lost, write

    def heal(self) -> bool:
        """Lose nothing from now on. Returns whether something was lost."""
        with self._lock:
            was_lost = self._lost is not None and self._countdown <= 0
            self._lost = None
            return was_lost

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), self._connected() as server:
            with self._lock:
                self._connections |= {client, server}
            try:
                while self._pass_on(client, server):
                    pass
            finally:
                with self._lock:
                    self._connections -= {client, server}

    def _connected(self) -> socket.socket:
        plain = socket.create_connection(self._server)
        return self._tls.wrap_socket(plain, server_hostname=self._server[0]) if self._tls else plain

    def _pass_on(self, client: socket.socket, server: socket.socket) -> bool:
        """Pass on one request and its answer. Returns false if the connection must end."""
        request = _message(client)
        if request is None:
            return False
        lost = self._lost_now(request)
        if lost is Lost.REQUEST:
            return False
        server.sendall(request)
        answer = _message(server)
        if answer is None or lost is Lost.ANSWER:
            return False
        client.sendall(answer)
        return True

    def _lost_now(self, request: bytes) -> Lost | None:
        if _command(request) not in WRITES:
            return None
        with self._lock:
            self._countdown -= 1
            return self._lost if self._countdown == 0 else None


def _message(connection: socket.socket) -> bytes | None:
    """Read one message of the wire protocol, which begins with its length. `None` if the other side has closed."""
    start = _exactly(connection, HEADER_BYTES)
    if start is None:
        return None
    rest = _exactly(connection, struct.unpack_from("<i", start)[0] - HEADER_BYTES)
    return None if rest is None else start + rest


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    received = bytearray()
    while len(received) < count:
        piece = connection.recv(count - len(received))
        if not piece:
            return None
        received += piece
    return bytes(received)


def _command(request: bytes) -> str | None:
    """The name of the command: the first field of the first document of an OP_MSG."""
    if struct.unpack_from("<i", request, 12)[0] != OP_MSG:
        return None
    return request[COMMAND_NAME_AT : request.index(b"\0", COMMAND_NAME_AT)].decode()


def _tls(options: Any) -> ssl.SSLContext | None:
    """The TLS settings that the driver would make from the options of an address; `None` without TLS."""
    if not options.get("tls"):
        return None
    context = ssl.create_default_context(cafile=options.get("tlsCAFile"))
    if options.get("tlsAllowInvalidHostnames") or options.get("tlsInsecure"):
        context.check_hostname = False
    if options.get("tlsAllowInvalidCertificates") or options.get("tlsInsecure"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate := options.get("tlsCertificateKeyFile"):
        context.load_cert_chain(certificate, password=options.get("tlsCertificateKeyFilePassword"))
    return context


def _plain_address(port: int, parsed: Any) -> str:
    """The proxy's address with the server's user. The driver must use this address alone, without TLS."""
    options = {"directConnection": "true", "serverMonitoringMode": "poll"}
    options |= {
        name: str(parsed["options"][name]) for name in ("authSource", "authMechanism") if name in parsed["options"]
    }
    user = f"{quote(parsed['username'], safe='')}:{quote(parsed['password'], safe='')}@" if parsed["username"] else ""
    return f"mongodb://{user}127.0.0.1:{port}/?{urlencode(options)}"
