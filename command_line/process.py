"""What all commands that use the database have in common: settings, log, and a process that is closed at the end."""

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
    """Build the process from the environment variables, check the storage version, and close the process at the end.

    - `may_wait`: the storage version is not checked here. The command calls `wait_for_storage`, because it also starts while the
      database is away.
    - `is_scraped`: a long-lived process. It has metrics if they are switched on.

    Raises pydantic's `ValidationError` for settings that cannot be used, and `StorageError` for a newer database.
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
    """Wait until the database answers and this release may use it, or until `stop` is set.

    Raises `StorageError` if this release may not use the database.
    """
    while not stop.is_set():
        try:
            process.storage.check()
        except PyMongoError as error:
            logger.warning("the database does not answer yet (%s)", type(error).__name__)
            stop.wait(AWAY_SECONDS)
        else:
            return
