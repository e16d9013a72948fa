"""What the commands that work on the database share: settings, log and the bridge, closed at the end."""

from collections.abc import Iterator
from contextlib import contextmanager

from casebridge.settings import Settings
from command_line.output import log_to_standard_error
from resources.telemetry.observing import observing
from resources.wiring.bridge import Bridge


@contextmanager
def bridge_of_this_process(workers: int | None = None, *, is_scraped: bool = False) -> Iterator[Bridge]:
    """The bridge as the environment variables say. Raises pydantic's `ValidationError` for settings that cannot be used.

    A process that stays is `is_scraped`: it has metrics, where they are switched on.
    """
    settings = Settings()
    if workers is not None:
        settings = settings.model_copy(update={"queue": settings.queue.model_copy(update={"workers": workers})})
    log_to_standard_error(settings.log_level)
    bridge = Bridge(settings)
    try:
        with observing(settings.telemetry, bridge.names, bridge.database, bridge.clock, is_scraped=is_scraped):
            yield bridge
    finally:
        bridge.close()
