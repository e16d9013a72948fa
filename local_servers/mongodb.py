"""The embedded MongoDB-protocol server: SecantusDB, a process of its own (GPL-2.0, never imported)."""

import os
import sys
from pathlib import Path

from local_servers.child_process import Child, Children, ServerNotStartedError, free_port

READY_SECONDS = 30.0
CACHE = "512M"
"""Its storage stands still for good when a write fills a fifth of this; to change a document of 16 MB takes some 50 MB."""
TRIES = 3


class EmbeddedMongoDB:
    """One server with its data below the folder of `children`. May be killed and started again on the same port.

    As a `replica_set` it keeps a log of operations, which nothing here reads. The log costs a tenth of every write, and above
    100,000 entries the server looks through all that it ever deleted of it, whenever it deletes more: seconds, and then minutes.
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
        """Further ones of the server's command; they count from the next start."""
        self.port = 0
        self.child = self._start_on_a_free_port()

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    def restart(self) -> None:
        """Start again after `child` was stopped or killed, with the same data and address."""
        self.child = self._start(self.port)

    def _start_on_a_free_port(self) -> Child:
        for attempt in range(TRIES):
            self.port = free_port()
            try:
                return self._start(self.port)
            except ServerNotStartedError:
                if attempt == TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _start(self, port: int) -> Child:
        command = [str(Path(sys.executable).with_name("secantusd-py")), "--host", "127.0.0.1", "--port", str(port)]
        command += ["--storage-path", str(self._data), "--log-level", "ERROR", "--cache-size", self._cache]
        # Acknowledged writes must survive a kill: the server loses recent ones without j, and every client here sends j.
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
    """Before the process has threads, which inherit it.

    It is Python: on several processors its threads hand the interpreter's lock from one to the other at every step, which
    nearly doubles the processor time of each command as soon as two are under way (docs/benchmarks.md).
    """
    if sys.platform == "linux":
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(process_id, {processors[process_id % len(processors)]})
