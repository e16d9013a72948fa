"""A server that answers with the bytes that a test gives, for faults of a connection that the simulators cannot make.

There is one thread per connection. Each request takes the next script. The last script repeats.
"""

import socket
import threading
from collections.abc import Callable, Sequence
from types import TracebackType

Script = Callable[[socket.socket, threading.Event], None]


def answer(status: str, body: bytes = b"", *headers: str) -> Script:
    """A complete answer with the right length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return raw("\r\n".join(lines).encode() + body)


def raw(content: bytes) -> Script:
    """Exactly these bytes; the connection stays open."""
    return lambda connection, _: connection.sendall(content)


def cut(content: bytes) -> Script:
    """These bytes, and then the connection is closed."""

    def play(connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(content)
        connection.close()

    return play


def dripping(start: bytes, drop: bytes) -> Script:
    """`start`, and then one `drop` after the other until the server is closed."""

    def play(connection: socket.socket, closing: threading.Event) -> None:
        connection.sendall(start)
        while not closing.wait(0.02):
            connection.sendall(drop)

    return play


def silent() -> Script:
    """Nothing at all, until the server is closed."""
    return lambda _, closing: (closing.wait(), None)[1]


class ScriptedServer:
    """Listens on a free loopback port. `requests` has the head of each request."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts: Sequence[Script] = scripts
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.requests: list[str] = []
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def connections(self) -> int:
        return len(self._connections)

    def __enter__(self) -> "ScriptedServer":
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(0.2)
        received = b""
        while not self._closing.is_set():
            try:
                while b"\r\n\r\n" not in received:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    received += piece
                head, _, received = received.partition(b"\r\n\r\n")
                with self._lock:
                    script = self._scripts[min(len(self.requests), len(self._scripts) - 1)]
                    self.requests.append(head.decode())
                script(connection, self._closing)
            except TimeoutError:
                continue
            except OSError:
                return
