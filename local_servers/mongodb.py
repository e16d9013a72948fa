"""The embedded MongoDB-protocol server: SecantusDB. It runs as a process of its own and is never imported (GPL-2.0)."""

import os
import sys
from pathlib import Path

from local_servers.child_process import Child, Children, start_on_a_free_port

READY_SECONDS = 30.0
CACHE = "512M"
"""The server hangs for ever if a write fills a fifth of its cache. Changing a document of 16 MB takes some 50 MB."""


class EmbeddedMongoDB:
    """One server with its data below the folder of `children`. It may be killed, and started again on the same port.

    As a `replica_set` it keeps a log of operations, which nothing here reads. The log makes each write a tenth slower. Above
    100,000 entries the server deletes entries, and each time it scans all entries that it ever deleted. That takes seconds, later
    minutes.
    """

    def __init__(
        self,
        children: Children,
        name: str = "mongodb",
        *,
        faults: bool = False,
        replica_set: bool = False,
        cache: str = CACHE,
    ) -> None:
        self._children = children
        self._name = name
        self._data = children.folder / f"{name}-data"
        self._faults = faults
        self._replica_set = replica_set
        self._cache = cache
        self.arguments: tuple[str, ...] = ()
        """Further arguments of the server's command. They apply from the next start."""
        self.child, self.port = start_on_a_free_port(self._start)

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    def restart(self) -> None:
        """Start again after `child` was stopped or killed, with the same data and address."""
        self.child = self._start(self.port)

    def _start(self, port: int) -> Child:
        command = [str(Path(sys.executable).with_name("secantusd-py")), "--host", "127.0.0.1", "--port", str(port)]
        command += ["--storage-path", str(self._data), "--log-level", "ERROR", "--cache-size", self._cache]
        # Acknowledged writes must survive a kill. Without j the server loses recent writes; every client here sends j.
        if not self._replica_set:
            command.append("--standalone")
        if self._faults:
            command.append("--enable-test-commands")
        command += self.arguments
        child = self._children.start(self._name, command, foundation=True)
        _keep_on_one_processor(child.pid)
        child.wait_until_listening(port, READY_SECONDS)
        return child


def _keep_on_one_processor(process_id: int) -> None:
    """Let the process run on one processor only. Called before it has threads, because threads inherit this.

    The server is written in Python. On several processors, its threads pass the interpreter's lock to each other at every step.
    That nearly doubles the processor time of each command as soon as two are under way (docs/benchmarks.md).
    """
    if sys.platform == "linux":
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(process_id, {processors[process_id % len(processors)]})
