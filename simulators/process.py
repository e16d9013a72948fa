"""Starts the simulators as a child process, for tests, the demo and the benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from simulators.control_client import ControlClient

START_WITHIN_S = 30.0
END_WITHIN_S = 5.0
PROJECT_ROOT = Path(__file__).resolve().parent.parent

__all__ = ["ControlClient", "RunningSimulators", "running"]


@dataclass(frozen=True, slots=True)
class RunningSimulators:
    """Simulators that are running and answer."""

    addresses: dict[str, str]
    """Base addresses: ``fs, wiseflow, laas, slack_api, slack_webhook, control``."""
    control: ControlClient
    pid: int


@contextmanager
def running(**options: str | int) -> Generator[RunningSimulators]:
    """Run the simulators in a process of their own while the context is open.

    :param options: the options of ``python -m simulators``, with underscores: ``seed=7``, ``fs_port=8081``
    :raises RuntimeError: the simulators did not start in time
    """
    arguments = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    process = subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
        [sys.executable, "-m", "simulators", "--with-parent", *arguments],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        addresses = _addresses(process)
        control = ControlClient(addresses["control"])
        try:
            yield RunningSimulators(addresses, control, process.pid)
        finally:
            control.close()
    finally:
        _end(process)


def _addresses(process: subprocess.Popen[str]) -> dict[str, str]:
    """The addresses, from the one line that the process writes when all servers listen."""
    if process.stdout is None:
        raise RuntimeError("the simulators have no standard output")
    overdue = threading.Timer(START_WITHIN_S, process.kill)
    overdue.start()
    try:
        line = process.stdout.readline()
    finally:
        overdue.cancel()
    if not line:
        raise RuntimeError("the simulators did not start; their standard error tells why")
    addresses: dict[str, str] = json.loads(line)
    return addresses


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
