"""casebridge's own commands as processes of their own, in a test's world; armed with a crash point where a test says so."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_servers.child_process import Child, Children
from tests.world import World

COMMAND = str(Path(sys.executable).with_name("casebridge"))
START_SECONDS = 30.0
RUN_SECONDS = 60.0


@dataclass(frozen=True)
class Crash:
    """A named place, how the process dies there, and how often it passes the place unharmed."""

    point: str
    after: int = 0
    kind: str = "kill"

    def __str__(self) -> str:
        return f"{self.kind} at {self.point} after {self.after} passes"

    def environment(self) -> dict[str, str]:
        return {
            "CASEBRIDGE_CRASH_POINT": self.point,
            "CASEBRIDGE_CRASH_KIND": self.kind,
            "CASEBRIDGE_CRASH_AFTER": str(self.after),
        }


@dataclass(frozen=True)
class Ended:
    """What a command came to."""

    exit_code: int
    output: str
    notes: str

    def json(self) -> Any:
        return json.loads(self.output)


class Processes:
    """Starts commands in one world; its listeners end with the test."""

    def __init__(self, children: Children, world: World) -> None:
        self._children = children
        self._world = world
        self.listeners: list[Child] = []

    def listener(self, *arguments: str, crash: Crash | None = None, at_work: bool = True, **environment: str) -> Child:
        """A listener that is at work; with a crash point, or without `at_work`, one that has just been started."""
        child = self._children.start(
            f"listener-{uuid.uuid4().hex[:8]}", [COMMAND, "listen", *arguments], self._environment(crash, environment)
        )
        self.listeners.append(child)
        if crash is None and at_work:
            child.wait_until(lambda: "Listening with" in child.log.read_text(), START_SECONDS)
        return child

    def crashed_listener(self, crash: Crash, *arguments: str, **environment: str) -> Child:
        """A listener that died at its crash point, by SIGKILL."""
        child = self.listener(*arguments, crash=crash, **environment)
        exit_code = child.process.wait(START_SECONDS)
        assert exit_code == -signal.SIGKILL, f"it never came to {crash}:\n{child.log_end()}"
        return child

    def consumer(self, *, crash: Crash | None = None, **environment: str) -> Child:
        """A consumer that has its partitions; with a crash point, one that has just been started. Ends with the listeners."""
        child = self._children.start(
            f"consumer-{uuid.uuid4().hex[:8]}", [COMMAND, "consume"], self._environment(crash, environment)
        )
        self.listeners.append(child)
        if crash is None:
            child.wait_until(lambda: ": consuming " in child.log.read_text(), START_SECONDS)
        return child

    def run(self, *arguments: str, crash: Crash | None = None, **environment: str) -> Ended:
        """Run a command to its end."""
        ended = subprocess.run(
            [COMMAND, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_SECONDS,
            env={**os.environ, **self._environment(crash, environment)},
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def stop(self) -> None:
        for listener in self.listeners:
            listener.stop()

    def _environment(self, crash: Crash | None, more: Mapping[str, str]) -> dict[str, str]:
        return {**self._world.environment(), **(crash.environment() if crash else {}), **more}
