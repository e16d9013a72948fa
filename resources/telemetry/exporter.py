"""The way of spans to a collector, by OTLP over HTTP."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from casebridge.settings import TelemetrySettings
from resources.telemetry.log import logger, quiet_library
from resources.telemetry.sdk_resource import sdk_resource
from resources.telemetry.traces import Traces

EXPORT_SECONDS: Final = 3.0
"""Longest wait for the collector, which is also how much longer the process may take to end."""


class TellingExporter(SpanExporter):
    """Hands on to another one, and says, once, when the collector stops taking spans, and when it takes them again.

    What the collector did not take is lost: cases do not wait for it.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._takes = True
        self.is_ending = False
        """The process waits for the last spans: one failure is enough."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.is_ending and not self._takes:
            return SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 whatever the way there brings out
            result = SpanExportResult.FAILURE
        takes = result is SpanExportResult.SUCCESS
        if takes is not self._takes:
            self._takes = takes
            if takes:
                logger.info("traces: the collector takes spans again")
            else:
                logger.warning(
                    "casebridge.traces_not_taken: the collector at CASEBRIDGE_TELEMETRY__TRACES_ENDPOINT takes no spans. "
                    "See that it runs and can be reached; cases go on, and what it misses is lost."
                )
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


@contextmanager
def running_traces(settings: TelemetrySettings) -> Iterator[Traces]:
    """Spans that are made within the block are sent to the settings' endpoint, in the background."""
    quiet_library()
    exporter = TellingExporter(OTLPSpanExporter(settings.traces_endpoint, timeout=EXPORT_SECONDS))
    processor = BatchSpanProcessor(exporter, export_timeout_millis=EXPORT_SECONDS * 1000)
    traces = Traces(processor, sdk_resource(), settings.traces_ratio)
    try:
        yield traces
    finally:
        exporter.is_ending = True
        traces.shutdown()
