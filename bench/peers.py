"""The peers: other queues, each with its server and one worker process. Their jobs do nothing.

Their packages are in an environment of their own, `.venv-bench`. `make bench` creates it from `bench/requirements.txt`. Without
this environment or without a peer's server, the rows have no peer and state the reason.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_servers.child_process import Child, Children
from local_servers.postgresql import PostgreSQL, PostgreSQLNotFoundError
from local_servers.redis import Redis, RedisNotFoundError

ROOT: Final = Path(__file__).parents[1]
PYTHON: Final = ROOT / ".venv-bench" / "bin" / "python"
STAMP: Final = ROOT / ".venv-bench" / "installed"
RUN_SECONDS: Final = 600.0
POSTGRESQL: Final = "PostgreSQL"
REDIS: Final = "Redis"
CONDITIONS: Final = {POSTGRESQL: "PostgreSQL, fsync on", REDIS: "Redis, appendonly yes, appendfsync everysec"}


@dataclass(frozen=True)
class Peer:
    """One queue and its server. `enqueues` says how its fastest producer enqueues jobs."""

    name: str
    server: str
    enqueues: str
    url: str
    child: Child

    @property
    def title(self) -> str:
        return f"{self.name} ({CONDITIONS[self.server]}; {self.enqueues})"

    def prepare(self) -> None:
        """Create the tables if the peer needs them."""
        if self.server == POSTGRESQL:
            self._run("prepare", 0)

    def enqueue(self, count: int) -> float:
        """Seconds that one producer took."""
        return self._run("enqueue", count)

    def work(self, count: int) -> float:
        """Seconds of one worker process, from its first job to its last."""
        return self._run("work", count)

    def _run(self, action: str, count: int) -> float:
        command = [str(PYTHON), "-m", f"bench.peer_programs.{self.name}_jobs", action, str(count), self.url]
        ended = subprocess.run(  # noqa: S603 - our own programs
            command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
        )
        if ended.returncode:
            raise RuntimeError(f"{self.name} could not {action}:\n{ended.stderr[-2000:]}")
        if action == "prepare":
            return 0.0
        return float(json.loads(ended.stdout.strip().splitlines()[-1])["seconds"])


@dataclass(frozen=True)
class Peers:
    """The peers that can run here, and the reasons why the others cannot."""

    present: tuple[Peer, ...]
    absent: dict[str, str]


@contextmanager
def running_peers() -> Iterator[Peers]:
    """The peers with their servers, for as long as the context lasts."""
    names = {POSTGRESQL: ("procrastinate",), REDIS: ("celery", "rq", "huey", "dramatiq")}
    enqueues = {"procrastinate": "batches of 100", "rq": "batches of 100"}
    present: list[Peer] = []
    absent: dict[str, str] = {}
    with Children("casebridge-peers") as children:
        for server, start in ((POSTGRESQL, _postgresql), (REDIS, _redis)):
            try:
                url, child = start(children)
            except _NotHereError as missing:
                absent |= dict.fromkeys(names[server], str(missing))
                continue
            present += [Peer(name, server, enqueues.get(name, "one by one"), url, child) for name in names[server]]
        for peer in present:
            peer.prepare()
        yield Peers(tuple(present), absent)


class _NotHereError(Exception):
    """A peer cannot run on this machine; the message is the reason."""


def _check_environment() -> None:
    if not STAMP.exists():
        raise _NotHereError("not measured: `make bench` makes the peers' environment")


def _postgresql(children: Children) -> tuple[str, Child]:
    _check_environment()
    try:
        server = PostgreSQL(children, durable=True)
    except PostgreSQLNotFoundError as error:
        raise _NotHereError(f"not measured: {error}") from error
    return server.url, server.child


def _redis(children: Children) -> tuple[str, Child]:
    """Start Redis. If it is killed, the acknowledged jobs of the last second are lost. No peer on Redis is run more durably."""
    _check_environment()
    try:
        server = Redis(children, append_only=True)
    except RedisNotFoundError as error:
        raise _NotHereError(f"not measured: {error} (make servers)") from error
    return server.url, server.child
