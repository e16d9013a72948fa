"""How results are shown: tables for people, one JSON object for scripts, and the exit codes.

Results go to standard output, everything else (progress, logs, notes) to standard error, so that a script can read the one.
"""

import json
import logging
import re
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


class _PlainConsole(Console):
    """Shows a character that would steer a terminal, or turn the direction of a line, as its escape."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(harmless(text), **options)


def console(**options: Any) -> Console:
    """A console that shows texts as they are: one from outside, such as `[/sak/4711]`, is no markup, in no cell of any table."""
    return _PlainConsole(markup=False, emoji=False, **options)


def harmless(text: str) -> str:
    """`text` with escapes for what is no visible character; line feeds stay, for texts of ours have several lines."""
    return STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


STEERING: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls (ESC begins what a terminal obeys), marks that turn a line's direction, and halves of characters."""

JSON_STEERING: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What JSON may hold as it is, and a terminal obeys."""

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
    written = json.dumps(value, default=_plain, ensure_ascii=False, indent=2)
    sys.stdout.write(JSON_STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", written) + "\n")
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
        template.format_map({name: escape(harmless(str(value))) for name, value in values.items()}), emoji=False
    )


def panel(title: str, body: str | Text) -> Panel:
    """A frame with a heading; `rich` would read markup in a heading that is no `Text`."""
    return Panel(body, title=Text(harmless(title)), title_align="left")


def show(value: Any) -> str:
    """A cell as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


class LineFormatter(logging.Formatter):
    """One line an event, whatever a name that was logged holds; a defect's trace has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 Python's name
        record.message = harmless(record.message).replace("\n", "\\n")
        return super().formatMessage(record)


def log_to_standard_error(level: str) -> None:
    """Our own log, one line an event, ids only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for package in ("casebridge", "resources", "command_line"):
        logging.getLogger(package).setLevel(level)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
