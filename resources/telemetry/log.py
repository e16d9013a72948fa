"""The log of metrics and traces, and how far OpenTelemetry's own may be heard in ours."""

import logging
from typing import Final

logger: Final = logging.getLogger("resources.telemetry")


def quiet_library() -> None:
    """Its warnings quote addresses and answers of collectors; that spans were not taken is told by ours (`exporter`)."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
