"""What the programs of the benchmark have in common: an order as JSON on the command line, one JSON object as the last line.

Every order has these fields:

- `servers`: the process ids of the servers on this machine, by name.
- `ping_seconds`: the round trip to a database server that is given by address, or null for the embedded server.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pymongo import monitoring

from bench.command_log import CommandTimer
from bench.processor_time import ProcessorMeter
from casebridge.database import Database
from casebridge.messaging.listener.listener import Listener
from casebridge.settings import Settings
from resources.wiring.observing import observing
from resources.wiring.process import Process

CHECK_EVERY_SECONDS: Final = 0.01
END_SECONDS: Final = 1500.0


def read_order() -> dict[str, Any]:
    """The order that `Installation.run` has put on the command line."""
    order: dict[str, Any] = json.loads(sys.argv[1])
    return order


def report(**figures: Any) -> None:
    """Print the figures as one line."""
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


def meter_of(order: Mapping[str, Any]) -> ProcessorMeter:
    """A meter of this process, and of the servers whose process ids the order names.

    Commands to a server by address are timed, but only those of clients that are created after this call.
    """
    timer = None if order["ping_seconds"] is None else CommandTimer()
    if timer:
        monitoring.register(timer)
    return ProcessorMeter(
        {"casebridge": os.getpid(), **order["servers"]}, ping_seconds=order["ping_seconds"], commands=timer
    )


@contextmanager
def process_from_environment() -> Iterator[Process]:
    """The process that the environment variables describe."""
    settings = Settings()
    process = Process(settings)
    try:
        with observing(settings.telemetry, process.stores, is_scraped=True):
            yield process
    finally:
        process.close()


@contextmanager
def open_database(names: Mapping[str, str] | None = None) -> Iterator[Database]:
    """A connection of the benchmark's own, by default to the databases of this process's settings.

    If it is opened before a command listener is registered, what the benchmark itself reads is not counted.
    """
    settings = Settings().mongodb
    database = Database(settings.model_copy(update=dict(names or {})))
    try:
        yield database
    finally:
        database.close()


def wait_until_empty(database: Database) -> None:
    """Return when no message is left in the queue."""
    wait_until(lambda: database.messages.find_one({}, {"_id": 1}) is None)


@contextmanager
def running_listener(process: Process) -> Iterator[Listener]:
    """A listener at work in a thread of this process. The time that it needs to end is not measured."""
    listener, stop = process.listener(), threading.Event()
    running = threading.Thread(target=listener.run, args=(stop,), name="listener")
    running.start()
    try:
        yield listener
    finally:
        stop.set()
        running.join()


def wait_until(is_so: Callable[[], bool]) -> None:
    """Check often, until `is_so` is true. Raises `TimeoutError` after `END_SECONDS`, which is longer than any measurement."""
    deadline = time.monotonic() + END_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done after {END_SECONDS:.0f} s")
        time.sleep(CHECK_EVERY_SECONDS)
