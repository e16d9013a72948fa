"""What the commands that work on the database share: settings, log and the wired process, closed at the end."""

from collections.abc import Iterator
from contextlib import contextmanager

from casebridge.settings import Settings
from command_line.output import log_to_standard_error
from resources.wiring.process import Process


@contextmanager
def this_process(workers: int | None = None) -> Iterator[Process]:
    """The process as the environment variables say. Raises pydantic's `ValidationError` for settings that cannot be used."""
    settings = Settings()
    if workers is not None:
        settings = settings.model_copy(update={"queue": settings.queue.model_copy(update={"workers": workers})})
    log_to_standard_error(settings.log_level)
    process = Process(settings)
    try:
        yield process
    finally:
        process.close()
