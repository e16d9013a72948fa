"""Processes that start quickly: they are forked from one that has loaded the modules already.

A forked process opens its own connections. It has only the environment that it is given, like a process started by a shell.
"""

import importlib
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from casebridge import crash_points

_context = multiprocessing.get_context("forkserver")
_loaded: list[str] = []


def load_once(module: str) -> None:
    """Load a module in the process that the others are forked from. Has no effect after the first fork."""
    _loaded.append(module)
    _context.set_forkserver_preload(_loaded)


def forked(target: Any, arguments: tuple[Any, ...]) -> ForkServerProcess:
    """Start a function in a new process."""
    process = _context.Process(target=target, args=arguments)
    process.start()
    return process


class ForkedProcess:
    """A forked process with the methods of `subprocess.Popen` that `Child` and tests use."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self.pid = process.ident or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, signal_number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal_number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def enter(environment: Mapping[str, str], output: Path, notes: Path) -> None:
    """The first call in a forked process: redirect its output, and replace its environment."""
    for descriptor, path in ((1, output), (2, notes)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    importlib.reload(crash_points)  # it reads the environment when it is loaded
