"""The cables that the soak cuts: they carry, break, stand still and are mended."""

import socket
import threading
from collections.abc import Iterator

import pytest

from local_servers.proxies import Cable, Cables
from tests.support.waiting import wait_until

SILENCE_SECONDS = 0.3


@pytest.fixture
def cable() -> Iterator[Cable]:
    """Before a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server, Cables() as cables:

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
        yield cables.lay(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)


def connected(cable: Cable) -> socket.socket:
    return socket.create_connection(("127.0.0.1", cable.port), timeout=10.0)


def carries(cable: Cable) -> bool:
    """Whether a new connection answers."""
    with connected(cable) as connection:
        try:
            connection.sendall(b"?")
            return connection.recv(1) == b"?"
        except OSError:
            return False


def test_everything_arrives_in_order(cable: Cable) -> None:
    sent = bytes(range(256)) * 40_000
    with connected(cable) as connection:
        threading.Thread(target=connection.sendall, args=(sent,), daemon=True).start()
        received = b""
        while len(received) < len(sent):
            received += connection.recv(1 << 20)
    assert received == sent


def test_a_dropped_cable_breaks_connections_until_it_is_mended(cable: Cable) -> None:
    with connected(cable) as connection:
        connection.sendall(b"!")
        assert connection.recv(1) == b"!"
        cable.drop()
        assert connection.recv(1) == b""
    assert not carries(cable)
    cable.mend()
    wait_until(lambda: carries(cable), "it carries again")


def test_what_a_stalled_cable_held_back_arrives_late(cable: Cable) -> None:
    with connected(cable) as connection:
        connection.sendall(b"!")
        assert connection.recv(1) == b"!"
        cable.stall()
        wait_until(lambda: cable.stands_still, "it stands still")
        connection.sendall(b"late")
        connection.settimeout(SILENCE_SECONDS)
        with pytest.raises(TimeoutError):
            connection.recv(4)
        connection.settimeout(10.0)
        cable.mend()
        assert connection.recv(4) == b"late"
