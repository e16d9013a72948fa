"""What the commands that work on the database share: settings, log and the wired process, closed at the end."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pymongo.errors import PyMongoError

from casebridge.settings import Settings
from command_line.output import log_to_standard_error
from resources.wiring.observing import observing
from resources.wiring.process import Process

logger = logging.getLogger(__name__)

AWAY_SECONDS: Final = 1.0


@contextmanager
def this_process(workers: int | None = None, *, may_wait: bool = False, is_scraped: bool = False) -> Iterator[Process]:
    """The process as the environment variables say, on a database that this release may work on.

    Raises pydantic's `ValidationError` for settings that cannot be used, and `StorageError` for a newer database. With `may_wait`
    the command itself asks (`wait_for_storage`), because it starts without the database, too. A process that stays is
    `is_scraped`: it has metrics, where they are switched on.
    """
    settings = Settings()
    if workers is not None:
        settings = settings.model_copy(update={"queue": settings.queue.model_copy(update={"workers": workers})})
    log_to_standard_error(settings.log_level)
    process = Process(settings)
    try:
        with observing(settings.telemetry, process.stores, is_scraped=is_scraped):
            if not may_wait:
                process.storage.check()
            yield process
    finally:
        process.close()


def wait_for_storage(process: Process, stop: threading.Event) -> None:
    """Return when the database answers and this release may work on it, or when `stop` is set. Raises `StorageError`."""
    while not stop.is_set():
        try:
            process.storage.check()
        except PyMongoError as error:
            logger.warning("the database does not answer yet (%s)", type(error).__name__)
            stop.wait(AWAY_SECONDS)
        else:
            return
