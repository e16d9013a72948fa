"""How results are shown: tables for people, one JSON object for scripts, and exit codes.

Results go to standard output, so that a script can read them. Everything else goes to standard error: progress, logs, notes.
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
    """Shows a character as its escape if it would control the terminal or change the direction of a line."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(harmless(text), **options)


def console(**options: Any) -> Console:
    """A console that shows every text as it is. A text from outside, such as `[/sak/4711]`, is never read as markup."""
    return _PlainConsole(markup=False, emoji=False, **options)


def harmless(text: str) -> str:
    """`text` with escapes in place of invisible characters. Line feeds stay, because our own texts have several lines."""
    return STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


STEERING: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (ESC begins a command to the terminal), marks that change a line's direction, and lone surrogates."""

JSON_STEERING: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that may stand in JSON without an escape, but control a terminal."""

results = console()
notes = console(stderr=True)
LONGEST_WHOLE: Final = 32
"""The length of a correlation id. Longer cells are wrapped: else they would push other columns out of a narrow terminal."""


class ExitCode(IntEnum):
    """The exit codes that scripts can rely on. docs/operating.md documents them."""

    DONE = 0
    FAILED = 1
    MISUSED = 2
    """Bad arguments or settings (Typer's own code)."""
    NOT_FOUND = 3
    ATTENTION = 4
    """The command worked, but found something that needs a person: dead messages, or cases that were not handled in time."""
    UNREACHABLE = 5
    """The database cannot be reached."""


def print_json(value: Any) -> None:
    """Write one JSON value to standard output. Times are in ISO 8601."""
    written = json.dumps(value, default=_plain, ensure_ascii=False, indent=2)
    sys.stdout.write(JSON_STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", written) + "\n")
    sys.stdout.flush()


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Table:
    """A table with plain cells and right-aligned numbers. Short first columns and times are not wrapped in a narrow terminal."""
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
    """Text with our own markup, as in `[bold]{case}[/] is late`. The values for the braces are shown as they are."""
    return Text.from_markup(
        template.format_map({name: escape(harmless(str(value))) for name, value in values.items()}), emoji=False
    )


def panel(title: str, body: str | Text) -> Panel:
    """A frame with a heading. The heading must be a `Text`: `rich` would read markup in a plain string."""
    return Panel(body, title=Text(harmless(title)), title_align="left")


def show(value: Any) -> str:
    """The text of a cell. Times are shown to the second; `None` is empty."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


class LineFormatter(logging.Formatter):
    """Formats each event as one line, whatever is in the names that it logs. Only the traceback of a defect has further lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 Python's name
        record.message = harmless(record.message).replace("\n", "\\n")
        return super().formatMessage(record)


def log_to_standard_error(level: str) -> None:
    """Set up our own log: one line for each event, and only ids in it."""
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
