"""Sets OpenTelemetry's SDK up: the resource, the reader that Prometheus scrapes, and the exporter of traces."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import CollectorRegistry, ProcessCollector

from casebridge.operators.backlog import BacklogReader
from casebridge.settings import TelemetrySettings
from resources.telemetry.exporter import TellingExporter
from resources.telemetry.log import quiet_library
from resources.telemetry.metrics import Metrics
from resources.telemetry.scrape import ScrapeServer
from resources.telemetry.traces import Traces

EXPORT_SECONDS: Final = 3.0
"""Longest wait for the collector, which is also how much longer the process may take to end."""


@contextmanager
def running_metrics(settings: TelemetrySettings, backlog: BacklogReader) -> Iterator[Metrics]:
    """The instruments, scraped on the settings' port within the block."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    # Exemplars would name traces, and cost as much as the rest.
    provider = MeterProvider(
        [PrometheusMetricReader(registry=registry, scope_info_enabled=False)],
        _resource(),
        AlwaysOffExemplarFilter(),
        shutdown_on_exit=False,
    )
    metrics = Metrics(provider.get_meter("casebridge"), backlog, settings.queue_read_seconds)
    server = ScrapeServer(settings.metrics_address, settings.metrics_port or 0, registry)
    server.start()
    try:
        yield metrics
    finally:
        server.stop()
        provider.shutdown()


@contextmanager
def running_traces(settings: TelemetrySettings) -> Iterator[Traces]:
    """Spans that are made within the block are sent to the settings' endpoint, in the background."""
    quiet_library()
    exporter = TellingExporter(OTLPSpanExporter(settings.traces_endpoint, timeout=EXPORT_SECONDS))
    processor = BatchSpanProcessor(exporter, export_timeout_millis=EXPORT_SECONDS * 1000)
    traces = Traces(processor, _resource(), settings.traces_ratio)
    try:
        yield traces
    finally:
        exporter.is_ending = True
        traces.shutdown()


def _resource() -> Resource:
    """`OTEL_RESOURCE_ATTRIBUTES` may add to it, such as the place where the process runs."""
    return Resource.create({"service.name": "casebridge"})
