"""The proxies that the soak cuts: they pass data on, break connections, stall and recover."""

import socket
import threading
from collections.abc import Iterator

import pytest

from local_servers.proxies import Proxies, Proxy
from tests.support.waiting import wait_until

SILENCE_SECONDS = 0.3


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy before a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server, Proxies() as proxies:

        def answer(connection: socket.socket) -> None:
            with connection:
                while data := connection.recv(65_536):
                    connection.sendall(data)

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield proxies.lay(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10.0)


def carries(proxy: Proxy) -> bool:
    """Whether a new connection answers."""
    with connected(proxy) as connection:
        try:
            connection.sendall(b"?")
            return connection.recv(1) == b"?"
        except OSError:
            return False


def test_everything_arrives_in_order(proxy: Proxy) -> None:
    sent = bytes(range(256)) * 40_000
    with connected(proxy) as connection:
        threading.Thread(target=connection.sendall, args=(sent,), daemon=True).start()
        received = b""
        while len(received) < len(sent):
            received += connection.recv(1 << 20)
    assert received == sent


def test_a_dropped_proxy_breaks_connections_until_it_is_restored(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        connection.sendall(b"!")
        assert connection.recv(1) == b"!"
        proxy.drop()
        assert connection.recv(1) == b""
    assert not carries(proxy)
    proxy.mend()
    wait_until(lambda: carries(proxy), "it carries again")


def test_data_in_a_stalled_proxy_arrives_late(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        connection.sendall(b"!")
        assert connection.recv(1) == b"!"
        proxy.stall()
        wait_until(lambda: proxy.stands_still, "it stands still")
        connection.sendall(b"late")
        connection.settimeout(SILENCE_SECONDS)
        with pytest.raises(TimeoutError):
            connection.recv(4)
        connection.settimeout(10.0)
        proxy.mend()
        assert connection.recv(4) == b"late"
