"""No process that the demo or a test starts outlives it, however it ends."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from local_servers.child_process import PORTS, Children, ServerNotStartedError, free_port

READY_SECONDS = 30.0

PARENT = """
import json, sys, threading
from local_servers.child_process import Children
from local_servers.mongodb import EmbeddedMongoDB
with Children("casebridge-orphans") as children:
    server = EmbeddedMongoDB(children)
    grandparent = children.start("shell", ["sh", "-c", "sleep 1000 & echo ready; wait"])
    grandparent.wait_until(lambda: "ready" in grandparent.log.read_text(), 30.0)
    print(json.dumps({"pids": [server.child.pid, grandparent.pid], "folder": str(children.folder)}), flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_children_and_grandchildren_and_their_folder_are_gone(end: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        family, folder = _end(parent, end)

    gone, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert len(gone) == len(family)
    deadline = time.monotonic() + 10
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not folder.exists()


def _end(parent: subprocess.Popen[str], end: signal.Signals) -> tuple[list[psutil.Process], Path]:
    """End the parent with `end`. Returns all processes that it had started, and its folder."""
    assert parent.stdout is not None
    started = json.loads(parent.stdout.readline())
    family = [psutil.Process(pid) for pid in started["pids"]]
    family += [child for process in family for child in process.children(recursive=True)]
    assert len(family) >= 3

    parent.send_signal(end)
    parent.wait()
    return family, Path(started["folder"])


def test_a_server_is_ready_only_when_it_has_its_port_itself(children: Children) -> None:
    port = free_port()
    serve = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    children.start("first", serve).wait_until_listening(port, READY_SECONDS)
    with pytest.raises(ServerNotStartedError, match="Address already in use"):
        children.start("second", serve).wait_until_listening(port, READY_SECONDS)


def test_a_free_port_is_outside_the_range_of_outgoing_connections() -> None:
    given = free_port()
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", given))
        server.listen()
        client.connect(("127.0.0.1", given))
        assert client.getsockname()[1] not in PORTS
