"""How results are shown: tables for people, one JSON object for scripts, and the exit codes.

Results go to standard output, everything else (progress, logs, notes) to standard error, so that a script can read the one.
"""

import json
import logging
import sys
from collections.abc import Iterable
from datetime import datetime
from enum import IntEnum
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text


def console(**options: Any) -> Console:
    """A console that shows texts as they are: one from outside, such as `[/sak/4711]`, is no markup, in no cell of any table."""
    return Console(markup=False, emoji=False, **options)


results = console()
notes = console(stderr=True)
LONGEST_WHOLE: Final = 32
"""As long as a correlation id; a longer cell in one piece would push other columns out of a narrow terminal."""


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
    """A table with plain cells; numbers to the right. In a narrow terminal, what a row is about and times stay in one piece."""
    filled = Table(
        title=title, title_justify="left", header_style="bold", box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0)
    )
    materialised = [list(row) for row in rows]
    for position, column in enumerate(columns):
        cells = [row[position] for row in materialised]
        numeric = bool(cells) and all(isinstance(cell, int | float) for cell in cells)
        whole = position == 0 or any(isinstance(cell, datetime) for cell in cells)
        whole = whole and all(len(show(cell)) <= LONGEST_WHOLE for cell in cells)
        filled.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=whole)
    for row in materialised:
        filled.add_row(*(show(cell) for cell in row))
    return filled


def styled(template: str, **values: object) -> Text:
    """Markup of our own, as in `[bold]{case}[/] is late`; the values in braces are shown as they are."""
    return Text.from_markup(
        template.format_map({name: escape(str(value)) for name, value in values.items()}), emoji=False
    )


def panel(title: str, body: str | Text) -> Panel:
    """A frame with a heading; `rich` would read markup in a heading that is no `Text`."""
    return Panel(body, title=Text(title), title_align="left")


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


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
