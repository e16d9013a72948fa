"""Metrics that Prometheus scrapes."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from prometheus_client import CollectorRegistry, ProcessCollector

from casebridge.operators.backlog import BacklogReader
from casebridge.settings import TelemetrySettings
from resources.telemetry.metrics import Metrics
from resources.telemetry.scrape import ScrapeServer
from resources.telemetry.sdk_resource import sdk_resource


@contextmanager
def running_metrics(settings: TelemetrySettings, backlog: BacklogReader) -> Iterator[Metrics]:
    """The instruments. Within the block, Prometheus can scrape them on the port of the settings."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    # Without exemplars, which would name traces.
    provider = MeterProvider(
        [PrometheusMetricReader(registry=registry, scope_info_enabled=False)],
        sdk_resource(),
        AlwaysOffExemplarFilter(),
        shutdown_on_exit=False,
    )
    metrics = Metrics(provider.get_meter("casebridge"), registry, backlog, settings.queue_read_seconds)
    server = ScrapeServer(settings.metrics_address, settings.metrics_port or 0, registry)
    server.start()
    try:
        yield metrics
    finally:
        server.stop()
        provider.shutdown()
