"""Child processes that never outlive their parent, however it ends.

All children of one `Children` form a process group of their own. So Ctrl-C reaches only the parent, and the parent decides in
which order they end. A watchdog process kills the group and removes the state folder when the parent is gone, even by SIGKILL.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol

import psutil

STOP_SECONDS: Final = 8.0
CHECK_EVERY_SECONDS: Final = 0.02
PORTS: Final = range(15_000, 32_000)
"""Below the ports that Linux, macOS and Windows assign to connections, and above the ports of the usual servers."""
PORT_TRIES: Final = 100
SERVER_TRIES: Final = 3


class ServerNotStartedError(RuntimeError):
    """A server ended before it was ready, or was not ready in time. The message has the end of its log."""


def free_port() -> int:
    """A loopback port that was free a moment ago. Raises `ServerNotStartedError` if none is found.

    It is not one of the ports that the system assigns to connections: such a connection could take it before the server does.
    """
    for _ in range(PORT_TRIES):
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ServerNotStartedError(f"{PORT_TRIES} loopback ports from {PORTS[0]} to {PORTS[-1]} were tried: none is free")


def start_on_a_free_port(start: "Callable[[int], Child]") -> "tuple[Child, int]":
    """Start a server with `start(port)`. Returns it with its port.

    Another program may take a port just before the server does. So further ports are tried. Raises `ServerNotStartedError` if
    the server starts on none of them.
    """
    for _ in range(SERVER_TRIES - 1):
        with contextlib.suppress(ServerNotStartedError):
            port = free_port()
            return start(port), port
    port = free_port()
    return start(port), port


def _listens(port: int) -> bool:
    """Whether any program accepts connections on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process(Protocol):
    """The interface of a child's process. `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, signal_number: int, /) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Child:
    """One running child: its process and its log."""

    def __init__(self, name: str, process: Process, log: Path, *, foundation: bool = False) -> None:
        self.name = name
        self.process = process
        self.log = log
        self.foundation = foundation

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return when `ready` returns true. Raises `ServerNotStartedError` if the child ends first, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None:
                raise ServerNotStartedError(f"{self.name} ended with {self.process.returncode}:\n{self.log_end()}")
            if time.monotonic() > deadline:
                raise ServerNotStartedError(f"{self.name} was not ready in {seconds:.0f} s:\n{self.log_end()}")
            time.sleep(CHECK_EVERY_SECONDS)

    def wait_until_listening(self, port: int, seconds: float) -> None:
        """Return when this child or one of its descendants accepts connections on the loopback port.

        It is not enough that any program does: another one may have taken the port while this child started. Raises
        `ServerNotStartedError` as `wait_until` does.
        """
        self.wait_until(lambda: _listens(port) and self._owns(port), seconds)

    def _owns(self, port: int) -> bool:
        with contextlib.suppress(psutil.Error):  # `wait_until` reports a child that has ended
            process = psutil.Process(self.pid)
            for one in (process, *process.children(recursive=True)):
                if any(
                    found.laddr.port == port and found.status == psutil.CONN_LISTEN for found in one.net_connections()
                ):
                    return True
        return False

    def log_end(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, signal_number: int = signal.SIGTERM, seconds: float = STOP_SECONDS) -> int:
        """Ask the child to end, and kill it if it does not end in time. Return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Children:
    """A context in which child processes run. When it is left, in whatever way, they are ended and `folder` is removed."""

    def __init__(self, name: str = "casebridge") -> None:
        self._name = name
        self.running: list[Child] = []

    def __enter__(self) -> "Children":
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # A shell makes background jobs ignore SIGINT. Children inherit this; Dagster's processes then also ignore SIGTERM.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self._name}-"))
        read_end, self._lifeline = os.pipe()
        self._watchdog = subprocess.Popen(  # noqa: S603 our own module under our own interpreter
            [sys.executable, "-m", "local_servers.watchdog", str(read_end), str(self.folder)],
            pass_fds=(read_end,),
            process_group=0,
        )
        os.close(read_end)
        return self

    @property
    def process_group(self) -> int:
        """The id of the process group. The group ends with this context, also if the interpreter is killed."""
        return self._watchdog.pid

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        foundation: bool = False,
    ) -> Child:
        """Start a child in the group, with its output in a log of its own. A `foundation` is stopped after all others."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 the commands are ours: servers of this environment
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                process_group=self.process_group,
            )
        child = Child(name, process, log, foundation=foundation)
        self.running.append(child)
        return child

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the children in parallel, the foundations last. Then the watchdog ends what they left behind."""
        for foundation in (False, True):
            leaving = [child for child in reversed(self.running) if child.foundation is foundation]
            for child in leaving:
                with contextlib.suppress(ProcessLookupError):
                    child.process.terminate()
            for child in leaving:
                child.stop()
        os.close(self._lifeline)
        self._watchdog.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
