"""`casebridge prune`: removes what has been finished for long enough."""

import getpass
import os
import signal
import threading
from types import FrameType
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from casebridge.operators.retention import PruneReport, Removal
from command_line.output import ExitCode, notes, print_json, results, table
from command_line.process import this_process
from resources.wiring.process import Process


def prune(
    for_real: Annotated[
        bool, typer.Option("--for-real", help="Without this, only show what would be removed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Remove processed messages, old keys, old audit entries, sent alerts and traces of dead listeners. Cases stay.

    How long each is kept is in the settings CASEBRIDGE_RETENTION__…. A dry run unless --for-real; Dagster's job clean_up does it
    every night. Ctrl-C or SIGTERM ends it between two batches (exit code 4); begin again at any time.
    """
    with this_process() as process:
        report = _prune(process, for_real=for_real)
    if as_json:
        print_json(report.plain())
    else:
        _show(report)
    if report.stopped:
        raise typer.Exit(ExitCode.ATTENTION)


def _prune(process: Process, *, for_real: bool) -> PruneReport:
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True) as progress:
        task = progress.add_task("looking", total=None)

        def show_progress(removal: Removal) -> None:
            progress.update(task, description=f"{removal.what}: {removal.found} found, {removal.removed} removed")

        return process.operators.retention.prune(
            dry_run=not for_real, asked_by=_user(), stop=stop, progress=show_progress
        )


def _user() -> str:
    """The name of this process's user, or its number: in a container the user may have no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def _show(report: PruneReport) -> None:
    columns = ("what", "before (UTC)", "found", "needed still", "removed")
    rows = ((row.what, row.before, row.found, row.spared, row.removed) for row in report.removals)
    results.print(table("Would be removed" if report.dry_run else "Removed", columns, rows))
    if report.stopped:
        results.print("Stopped before the end: begin again to remove the rest.")
    elif report.dry_run:
        results.print(f"{report.found} would be removed. Dry run: add --for-real.")
    else:
        results.print(f"{report.removed} removed.")
