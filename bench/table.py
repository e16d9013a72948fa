"""Prints the rows as a table for people, and writes them as `bench.json` for scripts."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from bench.row import Row

MARKS = {True: "[green]met[/]", False: "[red]not met[/]", None: ""}


def print_table(rows: Sequence[Row], title: str) -> None:
    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE, pad_edge=False)
    for column in ("row", "ours", "peer"):
        table.add_column(column, justify="left" if column == "row" else "right", overflow="fold")
    table.add_column("unit")
    table.add_column("ratio", justify="right")
    for column in ("goal", "", "peer is", "runs", "bound by"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            row.name,
            _figure(row.ours),
            _figure(row.peer),
            row.unit,
            "" if row.ratio is None else f"{row.ratio:.2f}",
            row.goal or "",
            MARKS[row.met],
            row.peer_name,
            str(row.runs),
            row.bound_by,
        )
    console = Console()
    # In a file or a pipe, lines must not be wrapped.
    Console(width=None if console.is_terminal else 240).print(table)


def write_json(rows: Sequence[Row], path: Path) -> None:
    path.write_text(json.dumps([row.as_json() for row in rows], indent=2, ensure_ascii=False) + "\n")


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
