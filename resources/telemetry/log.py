"""The logger of metrics and traces, and the level of OpenTelemetry's own loggers."""

import logging
from typing import Final

logger: Final = logging.getLogger("resources.telemetry")


def quiet_library() -> None:
    """Silence OpenTelemetry's warnings, which quote collectors' addresses and answers.

    `exporter` logs by itself that spans were not accepted.
    """
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
