"""Cheap durations: one histogram of Prometheus's own client for each kind of work.

Reporting a call takes 8 µs this way, and 22 µs with OpenTelemetry's histogram. The labels of a series are looked up once. The
names stay those of OpenTelemetry's conventions.
"""

import threading
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics

from resources.telemetry.counts import MOST_SERIES, OVERFLOW
from resources.telemetry.labels import Labels

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The bounds of the buckets that the conventions recommend."""


class Durations:
    """The durations of one kind of work, in seconds. Thread-safe."""

    def __init__(self, registry: CollectorRegistry, name: str, description: str, labels: Sequence[str]) -> None:
        """`labels` are the names of all labels that a series may have. A missing one is empty: to Prometheus, absent."""
        # Without the extra series that says when each series began.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # this function of the client has no types
        self._labels = (*labels, *dict(OVERFLOW))
        self._histogram = Histogram(
            f"{_prometheus(name)}_seconds",
            description,
            [_prometheus(label) for label in self._labels],
            registry=registry,
            buckets=SECONDS,
        )
        self._lock = threading.Lock()
        self._series: dict[Labels, Histogram] = {}

    def record(self, seconds: float, labels: Labels) -> None:
        """Count one duration. The labels may be any of those that the histogram has."""
        series = self._series.get(labels)
        if series is None:
            series = self._new_series(labels)
        series.observe(seconds)

    def _new_series(self, labels: Labels) -> Histogram:
        with self._lock:
            if labels not in self._series and len(self._series) >= MOST_SERIES:
                labels = OVERFLOW
            if labels not in self._series:
                values = dict(labels)
                self._series[labels] = self._histogram.labels(*(values.get(name, "") for name in self._labels))
            return self._series[labels]


def _prometheus(name: str) -> str:
    """Prometheus's form of a name of the conventions, as OpenTelemetry's exporter makes it."""
    return name.replace(".", "_")
