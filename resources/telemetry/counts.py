"""Counters that cost a dictionary's update: OpenTelemetry reads them when it is scraped.

A counter of its own takes some twenty times as long for each addition, which would be a tenth of our processor time.
"""

import threading
from collections.abc import Iterable
from typing import Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from resources.telemetry.labels import Labels

MOST_SERIES: Final = 2000
"""Of one counter, as OpenTelemetry bounds every metric; what comes after that is counted without its labels."""
OVERFLOW: Final[Labels] = (("otel.metric.overflow", "true"),)


class Counts:
    """One counter. Thread-safe."""

    def __init__(self, meter: Meter, name: str, unit: str, description: str) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Labels, int] = {}
        meter.create_observable_counter(name, [self._read], unit, description)

    def add(self, labels: Labels, number: int = 1) -> None:
        with self._lock:
            if labels not in self._counts and len(self._counts) >= MOST_SERIES:
                labels = OVERFLOW
            self._counts[labels] = self._counts.get(labels, 0) + number

    def _read(self, _options: CallbackOptions) -> Iterable[Observation]:
        with self._lock:
            counts = list(self._counts.items())
        return [Observation(count, dict(labels)) for labels, count in counts]
