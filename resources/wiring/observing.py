"""Switches on metrics and traces for one process, if the settings say so."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from casebridge.operators.backlog import BacklogReader
from casebridge.settings import TelemetrySettings
from casebridge.telemetry import observed_by
from resources.wiring.stores import Stores


@contextmanager
def observing(settings: TelemetrySettings, stores: Stores, *, is_scraped: bool = False) -> Iterator[None]:
    """Observe this process within the block. If metrics and traces are off, nothing is imported or started.

    `is_scraped` is for processes that run all the time: only they have metrics.
    """
    has_metrics = is_scraped and settings.metrics_port is not None
    if not has_metrics and not settings.traces_endpoint:
        yield
        return
    # Importing OpenTelemetry takes half a second and 20 MB, so it is imported only if it is used.
    from resources.telemetry.labels import SafeLabels  # noqa: PLC0415
    from resources.telemetry.open_telemetry import OpenTelemetryObserver  # noqa: PLC0415

    with ExitStack() as running:
        metrics = traces = None
        if has_metrics:
            from resources.telemetry.prometheus import running_metrics  # noqa: PLC0415

            metrics = running.enter_context(
                running_metrics(settings, BacklogReader(stores.database, stores.clock, stores.names))
            )
        if settings.traces_endpoint:
            from resources.telemetry.exporter import running_traces  # noqa: PLC0415

            traces = running.enter_context(running_traces(settings))
        observer = OpenTelemetryObserver(SafeLabels(stores.names), metrics, traces, propagate=settings.propagate)
        running.enter_context(observed_by(observer))
        yield
