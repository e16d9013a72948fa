"""Sends spans to a collector, by OTLP over HTTP."""

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
"""Longest wait for the collector. The end of the process may take this much longer, too."""


class ReportingExporter(SpanExporter):
    """Passes spans to another exporter.

    It logs once when the collector stops accepting spans, and once when it accepts them again.
    Spans that it did not accept are lost: cases do not wait for it.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._accepts = True
        self.is_ending = False
        """True while the process waits for its last spans. After one failure then, no further export is tried."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.is_ending and not self._accepts:
            return SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 no error of the export may reach the process
            result = SpanExportResult.FAILURE
        accepts = result is SpanExportResult.SUCCESS
        if accepts is not self._accepts:
            self._accepts = accepts
            if accepts:
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
    """Within the block, spans are sent to the endpoint of the settings, in the background."""
    quiet_library()
    exporter = ReportingExporter(OTLPSpanExporter(settings.traces_endpoint, timeout=EXPORT_SECONDS))
    processor = BatchSpanProcessor(exporter, export_timeout_millis=EXPORT_SECONDS * 1000)
    traces = Traces(processor, sdk_resource(), settings.traces_ratio)
    try:
        yield traces
    finally:
        exporter.is_ending = True
        traces.shutdown()
