"""An installation of casebridge for one measurement: its own databases, settings and processes.

The database server is the embedded one, or the one at `CASEBRIDGE_MONGODB_URI`. `simulation` adds institutions and simulators.
"""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from pymongo import MongoClient

from casebridge.database import Database
from casebridge.exams.explanations.case_indexes import INDEXES
from casebridge.secrets import Secrets
from casebridge.settings import Settings
from local_servers.child_process import Child, Children
from local_servers.mongodb import EmbeddedMongoDB
from resources.wiring.process import Process

ROOT: Final = Path(__file__).parents[1]
VARIABLE: Final = "CASEBRIDGE_MONGODB_URI"
RUN_SECONDS: Final = 1800.0
START_SECONDS: Final = 60.0
PINGS: Final = 21
CACHE: Final = "2G"
"""The cache of the database server, as in a real installation (docs/deploying.md). Indexes need not be read from disk again."""

Sections = dict[str, dict[str, Any]]


class ProgramFailedError(RuntimeError):
    """A program of the benchmark ended with an error. The message has the end of its output."""


@dataclass(frozen=True)
class Conversation:
    """A running program. It writes a line of figures, waits for a line, and writes again."""

    module: str
    process: "subprocess.Popen[str]"
    log: Path

    def read(self) -> dict[str, Any]:
        """The next figures of the program. Raises `ProgramFailedError` if it has ended."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise ProgramFailedError(f"{self.module} ended with {self.process.wait()}:\n{self.log.read_text()[-3000:]}")
        figures: dict[str, Any] = json.loads(line)
        return figures

    def go_on(self) -> None:
        """Write the line that the program waits for."""
        if self.process.stdin:
            self.process.stdin.write("\n")
            self.process.stdin.flush()


@dataclass
class Installation:
    """One pair of databases and the settings of the processes that use it."""

    sections: Sections
    database: Database
    children: Children
    servers: dict[str, int]
    """Process ids of the servers that it uses on this machine, by name."""
    ping_seconds: float | None
    """The round trip to a database server that is given by address. `None` for the embedded server."""
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def settings(self) -> Settings:
        return Settings.model_validate(self.sections)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with the same settings and secrets, for other processes."""
        variables = {
            f"CASEBRIDGE_{section.upper()}__{name.upper()}": str(value)
            for section, values in self.sections.items()
            for name, value in values.items()
        }
        return {**variables, **self.secrets, "CASEBRIDGE_LOG_LEVEL": "ERROR"}

    def configure(self, section: str, **values: Any) -> None:
        """Change settings. They apply to what is started from now on."""
        self.sections[section] = {**self.sections.get(section, {}), **values}

    @contextmanager
    def process(self) -> Iterator[Process]:
        """A `Process` of this installation, inside this Python process."""
        process = Process(self.settings, Secrets(self.secrets))
        try:
            yield process
        finally:
            process.close()

    def run(self, module: str, **order: Any) -> dict[str, Any]:
        """Run a program of ours to its end; return its figures. Raises `ProgramFailedError` if it ends with an error."""
        ended = subprocess.run(  # noqa: S603 - our own module under our own interpreter
            [sys.executable, "-m", module, self._order(order)],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        if ended.returncode:
            raise ProgramFailedError(f"{module} ended with {ended.returncode}:\n{ended.stderr[-3000:]}")
        figures: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
        return figures

    def _order(self, order: dict[str, Any]) -> str:
        return json.dumps({"servers": self.servers, "ping_seconds": self.ping_seconds, **order})

    @contextmanager
    def conversation(self, module: str, **order: Any) -> Iterator["Conversation"]:
        """A program of ours that writes figures, waits for a line, and writes again."""
        errors = self.children.folder / f"{module}-{uuid.uuid4().hex[:8]}.log"
        with (
            errors.open("w") as log,
            subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
                [sys.executable, "-m", module, self._order(order)],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            ) as process,
        ):
            try:
                yield Conversation(module, process, errors)
            finally:
                process.kill()

    def start(self, name: str, *command: str, ready: str) -> Child:
        """Start a long-lived process. Return when its log has the text `ready`."""
        child = self.children.start(f"{name}-{uuid.uuid4().hex[:8]}", list(command), self.environment)
        child.wait_until(lambda: ready in child.log.read_text(), START_SECONDS)
        return child


class MongoDBServer:
    """The MongoDB-protocol server of the whole run."""

    def __init__(self, children: Children) -> None:
        self._children = children
        embedded = None if os.environ.get(VARIABLE) else EmbeddedMongoDB(children, cache=CACHE)
        self.uri = embedded.uri if embedded else os.environ[VARIABLE]
        self._servers = {"MongoDB server": embedded.child.pid} if embedded else {}
        self.name = self._name()
        self.ping_seconds = None if embedded else self._ping()

    @contextmanager
    def installation(self, **sections: dict[str, Any]) -> Iterator[Installation]:
        """Two new databases with their indexes. On a server by address they are dropped afterwards.

        The embedded server drops document by document: a million of them would take longer than the measurement. So its
        databases are left until the server ends.
        """
        name = f"bench_{uuid.uuid4().hex[:12]}"
        databases = {"config_database": f"{name}_config", "oai_database": f"{name}_oai"}
        mongodb = {"uri": self.uri, **databases}
        database = Database(Settings(mongodb=mongodb).mongodb)
        try:
            database.ensure_indexes([(database.cases, INDEXES)])
            yield Installation(
                {**sections, "mongodb": mongodb}, database, self._children, dict(self._servers), self.ping_seconds
            )
        finally:
            database.close()
            if not self._servers:
                self._drop(databases.values())

    def _drop(self, databases: Iterable[str]) -> None:
        with MongoClient[dict[str, Any]](self.uri) as client:
            for name in databases:
                client.drop_database(name)

    def _ping(self) -> float:
        """Seconds that a command without work takes on an open connection: the network, and the least work of a server."""
        seconds = []
        with MongoClient[dict[str, Any]](self.uri) as client:
            client.admin.command("ping")
            for _ in range(PINGS):
                began = time.monotonic()
                client.admin.command("ping")
                seconds.append(time.monotonic() - began)
        return median(seconds)

    def _name(self) -> str:
        database = Database(Settings(mongodb={"uri": self.uri}).mongodb)
        try:
            return database.server_name()
        finally:
            database.close()
