"""Processes of their own without the seconds that loading takes: forked from one that has loaded what tests run in them.

What is forked opens its own connections. It has the environment that it is given, as a process started by a shell has.
"""

import importlib
import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from casebridge import crash_points

_context = multiprocessing.get_context("forkserver")
_loaded: list[str] = []


def load_once(module: str) -> None:
    """Have it loaded in the process that the others are forked from; counts if said before the first of them is."""
    _loaded.append(module)
    _context.set_forkserver_preload(_loaded)


def forked(target: Any, arguments: tuple[Any, ...]) -> ForkServerProcess:
    """A function in a process that is under way."""
    process = _context.Process(target=target, args=arguments)
    process.start()
    return process


def enter(environment: Mapping[str, str], output: Path, notes: Path) -> None:
    """The first thing in such a process: write there, and be in this environment alone."""
    for descriptor, path in ((1, output), (2, notes)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    importlib.reload(crash_points)  # it reads the environment when it is loaded
