"""`casebridge consume`: the long-lived process that puts Kafka's records into the inbox."""

import signal
import threading
from types import FrameType

import typer

from casebridge.sources.record_inbox import Intake
from command_line.output import ExitCode, notes
from command_line.process import this_process, wait_for_storage


def consume() -> None:
    """Accept what comes by Kafka, until SIGTERM or Ctrl-C; then finish the batch in hand and leave the group.

    Several may run, on several hosts, and share the partitions. A listener handles what they accept.
    """
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    taken = Intake()

    def count(intake: Intake) -> None:
        nonlocal taken
        taken += intake

    with this_process(may_wait=True, is_scraped=True) as process:
        consumer = process.kafka.consumer(count)
        if consumer is None:
            notes.print("Kafka is off: set CASEBRIDGE_KAFKA__BOOTSTRAP_SERVERS (docs/kafka.md).")
            raise typer.Exit(ExitCode.MISUSED)
        notes.print(f"Consuming as a member of {process.settings.kafka.group}.")
        wait_for_storage(process, stop)
        with process.storage.processes.at_work("consumer"):
            # Checked again: a migration that began in the meantime did not see this process yet.
            wait_for_storage(process, stop)
            consumer.run(stop)
        notes.print(
            f"Stopped: {taken.accepted} accepted, {taken.unreadable} set aside, {taken.known} known, "
            f"{taken.nothing_to_do} without anything to do."
        )
