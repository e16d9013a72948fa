"""Starts casebridge's commands as processes of their own, in a test's world, with a crash point if the test wants one."""

import json
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_line.main import main
from local_servers.child_process import Child, Children
from tests.support.forked_processes import ForkedProcess, enter, forked, load_once
from tests.support.world import World

COMMAND = str(Path(sys.executable).with_name("casebridge"))
START_SECONDS = 30.0
RUN_SECONDS = 60.0
load_once(__name__)


@dataclass(frozen=True)
class Crash:
    """A crash point, how the process ends there, and how often it passes the point before that."""

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
    """The result of a command: its exit code, standard output and standard error."""

    exit_code: int
    output: str
    notes: str

    def json(self) -> Any:
        return json.loads(self.output)


class Processes:
    """Starts commands in one world. Its listeners end with the test."""

    def __init__(self, children: Children, world: World) -> None:
        self._children = children
        self._world = world
        self.listeners: list[Child] = []

    def listener(self, *arguments: str, crash: Crash | None = None, at_work: bool = True, **environment: str) -> Child:
        """Start a listener and wait until it is at work. Does not wait with a crash point or without `at_work`."""
        child = self._start("listen", arguments, self._environment(crash, environment))
        if crash is None and at_work:
            child.wait_until(lambda: "Listening with" in child.log.read_text(), START_SECONDS)
        return child

    def crashed_listener(self, crash: Crash, *arguments: str, **environment: str) -> Child:
        """Start a listener and wait until SIGKILL has ended it at its crash point."""
        child = self.listener(*arguments, crash=crash, **environment)
        exit_code = child.process.wait(START_SECONDS)
        assert exit_code == -signal.SIGKILL, f"it never came to {crash}:\n{child.log_end()}"
        return child

    def consumer(self, *, crash: Crash | None = None, **environment: str) -> Child:
        """Start a consumer and wait until it has partitions. Does not wait with a crash point. Ends with the listeners."""
        child = self._start("consume", (), self._environment(crash, environment))
        if crash is None:
            child.wait_until(lambda: ": consuming " in child.log.read_text(), START_SECONDS)
        return child

    def run(self, *arguments: str, crash: Crash | None = None, **environment: str) -> Ended:
        """Run a command to its end."""
        with tempfile.TemporaryDirectory() as folder:
            output, notes = Path(folder, "output"), Path(folder, "notes")
            environment = {**os.environ, **self._environment(crash, environment)}
            process = forked(_command, (arguments, environment, output, notes))
            process.join(RUN_SECONDS)
            if process.exitcode is None:
                process.kill()
                process.join()
                raise TimeoutError(f"{arguments[0]} took longer than {RUN_SECONDS:.0f} s:\n{notes.read_text()[-3000:]}")
            return Ended(process.exitcode, output.read_text(), notes.read_text())

    def stop(self) -> None:
        for listener in self.listeners:
            listener.stop()

    def _start(self, command: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Like `Children.start`, in the same process group, but forked from a process that has loaded the code."""
        name = f"{command}-{uuid.uuid4().hex[:8]}"
        log = self._children.folder / f"{name}.log"
        log.touch()
        group = self._children.process_group
        process = forked(_endless_command, (group, (command, *arguments), {**os.environ, **environment}, log))
        child = Child(name, ForkedProcess(process), log)
        self._children.running.append(child)
        self.listeners.append(child)
        return child

    def _environment(self, crash: Crash | None, more: Mapping[str, str]) -> dict[str, str]:
        return {**self._world.environment(), **(crash.environment() if crash else {}), **more}


def _command(arguments: Sequence[str], environment: Mapping[str, str], output: Path, notes: Path) -> None:
    """Run the command in the new process, like its script."""
    enter(environment, output, notes)
    sys.argv = [COMMAND, *arguments]
    main()


def _endless_command(group: int, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Run in the new process a command that only a signal ends. It ends with its process group, like all `Children`."""
    os.setpgid(0, group)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _command(arguments, environment, log, log)
