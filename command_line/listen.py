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
"""Each worker is a thread. Two dozen are enough for most installations."""


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
        threading.Thread(target=keep_announcing, args=args, name="announce", daemon=True).start()
        try:
            process.register_listener(listener)
        except Exception as error:  # noqa: BLE001 the listener itself reports the error
            notes.print(f"The database does not answer yet ({type(error).__name__}): listening all the same.")
        notes.print(f"Listening with {process.settings.queue.workers} workers as {listener.owner}.")
        try:
            # Checked after the registration, so that either a migration sees this listener, or the listener sees the migration.
            wait_for_storage(process, stop)
            listener.run(stop)
            report.send(is_last=True)
        finally:
            stop.set()
            try:
                process.unregister_listener(listener)
            except Exception:  # noqa: BLE001 the messages have been given back already
                notes.print("The database is away: the listener's entry there ends by itself.")
        notes.print("Stopped: nothing is held.")
        if refused:
            raise refused[0]


def keep_announcing(
    process: Process,
    listener: Listener,
    report: DagsterReport,
    stop: threading.Event,
    seconds: float = ANNOUNCE_SECONDS,
    refused: list[StorageError] | None = None,
) -> None:
    """Until `stop` is set, register the listener as alive, check the storage version, and send reports to Dagster.

    No error ends this loop: without it, sensors would start runs although the listener works.

    Adds the error to `refused` and sets `stop` if the database was migrated in the meantime. That can happen while this process
    is frozen, because a migration does not see a frozen listener.
    """
    tasks: tuple[Callable[[], object], ...] = (
        lambda: process.register_listener(listener),
        process.storage.check,
        report.send_if_due,
    )
    while not stop.wait(seconds):
        for task in tasks:
            try:
                task()
            except StorageError as error:
                if refused is not None:
                    refused.append(error)
                stop.set()
            except BaseException as error:  # noqa: BLE001 no error ends this loop
                if not is_away(error):  # the listener itself reports that the database is away
                    log_defect(error)
