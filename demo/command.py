"""`casebridge demo`: starts the platform, shows one round, keeps the UI running until Ctrl-C, and leaves nothing behind."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer
from rich.live import Live

from command_line.output import ExitCode, notes, print_json, results, styled
from demo.memory import MemoryMeter
from demo.platform import Platform, Size, reading_process, running_platform
from demo.round import Picture, Round
from demo.sizes import MOST_COURSES, MOST_INSTITUTIONS, MOST_REQUESTS, MOST_SEED
from demo.summary import as_table, live_view, reached_the_right_end, summary_of
from local_servers.child_process import ServerNotStartedError

PLAIN_LINE_SECONDS = 5.0
PARENT_SECONDS = 0.5


def demo(
    once: Annotated[bool, typer.Option("--once", help="One round, then end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    institutions: Annotated[int, typer.Option(min=1, max=MOST_INSTITUTIONS)] = 12,
    courses: Annotated[int, typer.Option(min=1, max=MOST_COURSES)] = 60,
    requests: Annotated[int, typer.Option(min=1, max=MOST_REQUESTS)] = 600,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="The same seed makes the same population.")] = 1,
) -> None:
    """Show the whole job on this machine: FS → WISEflow → FS with simulated neighbours, and Dagster's UI.

    Exit code 0 only if every request reached its right end.
    """
    began_at, began_at_unix = time.monotonic(), time.time()
    size = Size(institutions=institutions, courses=courses, requests=requests, seed=seed)
    _end_on_signals()
    try:
        with (
            running_platform(size) as platform,
            MemoryMeter(platform.processes) as meter,
            reading_process(platform) as process,
        ):
            notes.print(styled("Dagster's UI: [bold]{ui}[/]", ui=platform.ui))
            with _view(requests) as show:
                picture = Round(platform, process, began_at, requests).run(show)
            summary = summary_of(picture, platform, meter, began_at_unix)
            right = reached_the_right_end(picture, platform)
            if as_json:
                print_json(summary)
            else:
                results.print(as_table(summary, picture))
            if not once:
                _stay(platform)
    except ServerNotStartedError as error:
        notes.print(styled("[red]A server of the demo did not start:[/] {error}", error=error))
        raise typer.Exit(ExitCode.FAILED) from None
    except KeyboardInterrupt:
        notes.print("Stopped; everything the demo started is gone.")
        raise typer.Exit(ExitCode.DONE if not once else ExitCode.FAILED) from None
    if not right:
        notes.print(styled("[red]Not every request reached its right end[/]: see the figures above."))
        raise typer.Exit(ExitCode.FAILED)


def _end_on_signals() -> None:
    """End the demo at SIGTERM and SIGHUP as Ctrl-C does. If this process is killed, the watchdog ends its children.

    SIGINT gets a handler, too, because a shell that starts the demo in the background makes it ignore SIGINT.
    """

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    if "MAKELEVEL" in os.environ:
        threading.Thread(target=_end_with, args=(os.getppid(),), name="parent", daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: a `make demo` that was killed sends no signal."""
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _view(requests: int) -> Iterator[Callable[[Picture], None]]:
    """Show the progress on standard error: a live view in a terminal, otherwise a line every few seconds."""
    if notes.is_terminal:
        with Live(console=notes, refresh_per_second=4, transient=True) as live:
            yield lambda picture: live.update(live_view(picture, requests))
        return
    told_at = float("-inf")

    def print_line(picture: Picture) -> None:
        nonlocal told_at
        if picture.seconds - told_at >= PLAIN_LINE_SECONDS:
            told_at = picture.seconds
            counted = picture.simulators
            sys.stderr.write(
                f"{picture.seconds:5.0f} s  in FS {counted['requests']}, sent {counted['dispatched']}, "
                f"answered {counted['answered']}, registered {counted['registered']}, set aside {picture.set_aside}\n"
            )

    yield print_line


def _stay(platform: Platform) -> None:
    """Keep the platform running until Ctrl-C. A reconciliation is started, so that the UI can show a run with its checks."""
    platform.dagster.launch("reconcile")
    notes.print(styled("\nLook around: [bold]{ui}[/] (assets, sensors, runs, checks)", ui=platform.ui))
    notes.print(f"In a second terminal: . {platform.folder / 'environment'} && .venv/bin/casebridge status")
    notes.print("Ctrl-C ends the demo and leaves nothing behind.")
    threading.Event().wait()
