"""How results are shown: tables for people, one JSON object for scripts, and the exit codes.

Results go to standard output, everything else (progress, logs, notes) to standard error, so that a script can read the one.
"""

import json
import logging
import sys
from collections.abc import Iterable
from datetime import datetime
from enum import IntEnum
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

results = Console()
notes = Console(stderr=True)


class ExitCode(IntEnum):
    """What scripts can rely on; documented in docs/operating.md."""

    DONE = 0
    FAILED = 1
    MISUSED = 2
    """Bad arguments or settings (Typer's own code)."""
    NOT_FOUND = 3
    ATTENTION = 4
    """The command worked, and what it found needs a person: dead messages, cases that did not get there."""
    UNREACHABLE = 5
    """The database cannot be reached."""


def print_json(value: Any) -> None:
    """One JSON value on standard output; times in ISO 8601."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2) + "\n")
    sys.stdout.flush()


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Table:
    """A table with plain cells; numbers to the right."""
    filled = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE)
    materialised = [list(row) for row in rows]
    for position, column in enumerate(columns):
        numeric = all(isinstance(row[position], int | float) for row in materialised) and bool(materialised)
        filled.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in materialised:
        filled.add_row(*(show(cell) for cell in row))
    return filled


def show(value: Any) -> str:
    """A cell as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


def log_to_standard_error(level: str) -> None:
    """Our own log, one line an event, ids only."""
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for package in ("casebridge", "resources", "command_line"):
        logging.getLogger(package).setLevel(level)
    # It tells of every connection that it could not make; our consumer and producer say it once.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
