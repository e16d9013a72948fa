"""An exporter that says, once, when the collector stops taking spans, and when it takes them again."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from resources.telemetry.log import logger


class TellingExporter(SpanExporter):
    """Hands on to another one. What the collector did not take is lost: cases do not wait for it."""

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
