"""`casebridge listen`: the long-lived process that takes each message at once."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Annotated

import typer

from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.messaging.listener.listener import Listener
from casebridge.storage.version import StorageError
from command_line.output import notes
from command_line.process import this_process, wait_for_storage
from command_line.report import DagsterReport
from resources.wiring.process import Process

ANNOUNCE_SECONDS = 5.0
MOST_WORKERS = 1000
"""Each is a thread; two dozen serve most."""


def listen(
    workers: Annotated[int | None, typer.Option(min=1, max=MOST_WORKERS, help="Messages handled side by side.")] = None,
) -> None:
    """Handle messages as they come, until SIGTERM or Ctrl-C; then finish what is begun and give back the rest.

    Several listeners, on several hosts, share one database.
    """
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    with this_process(workers, may_wait=True, is_scraped=True) as process:
        listener = process.listener()
        report = DagsterReport(process, listener.outcome_counts)
        refused: list[StorageError] = []
        args = (process, listener, report, stop, ANNOUNCE_SECONDS, refused)
        threading.Thread(target=look_after, args=args, name="announce", daemon=True).start()
        try:
            process.register_listener(listener)
        except Exception as error:  # noqa: BLE001 what it is, the listener itself tells
            notes.print(f"The database does not answer yet ({type(error).__name__}): listening all the same.")
        notes.print(f"Listening with {process.settings.queue.workers} workers as {listener.owner}.")
        try:
            # After it was registered: a migration either sees this listener, or this listener the migration.
            wait_for_storage(process, stop)
            listener.run(stop)
            report.send(is_last=True)
        finally:
            stop.set()
            try:
                process.unregister_listener(listener)
            except Exception:  # noqa: BLE001 the messages are given back by now
                notes.print("The database is away: the listener's entry there ends by itself.")
        notes.print("Stopped: nothing is held.")
        if refused:
            raise refused[0]


def look_after(
    process: Process,
    listener: Listener,
    report: DagsterReport,
    stop: threading.Event,
    seconds: float = ANNOUNCE_SECONDS,
    refused: list[StorageError] | None = None,
) -> None:
    """Say that the listener is alive, and what it did, until `stop`. No defect ends that: sensors would start runs beside it.

    Sets `stop`, and adds to `refused`, when the database was migrated meanwhile: a frozen listener is not seen to be at work.
    """
    works: tuple[Callable[[], object], ...] = (
        lambda: process.register_listener(listener),
        process.storage.check,
        report.send_if_due,
    )
    while not stop.wait(seconds):
        for work in works:
            try:
                work()
            except StorageError as error:
                if refused is not None:
                    refused.append(error)
                stop.set()
            except BaseException as error:  # noqa: BLE001 see above
                if not is_away(error):  # of that the listener itself tells
                    log_defect(error)
