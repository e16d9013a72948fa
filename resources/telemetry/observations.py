"""Observations of work that takes time. At its end each one reports to metrics and traces."""

import time
from collections.abc import Callable, Mapping, Sequence

from opentelemetry.trace import Span

from casebridge.defect import log_defect
from casebridge.telemetry import Observation
from resources.telemetry.traces import Traces, end, traceparent

OnEnd = Callable[[float, str | None, int | None], None]
"""Is called at the end of an observation, with its seconds, the code of its error, and the status of an HTTP answer."""


class Timed(Observation):
    """Something that is measured, traced, or both."""

    def __init__(self, on_end: OnEnd | None, traces: Traces | None = None, span: Span | None = None) -> None:
        """Until this observation ends, spans of this thread are made below `span`, if there is one."""
        self._on_end = on_end
        self._traces = traces
        self._span = span
        if traces is not None and span is not None:
            self._above, traces.current = traces.current, span
        self._began = time.perf_counter()

    def ended(self, code: str | None = None, *, status: int | None = None) -> None:
        """Report the end. An error in reporting is logged and does not reach the observed work."""
        try:
            self._report(code, status)
        except Exception as error:  # noqa: BLE001 see above
            log_defect(error)

    def _report(self, code: str | None, status: int | None) -> None:
        if self._traces is not None and self._span is not None:
            self._traces.current = self._above
        if self._on_end is not None:
            self._on_end(time.perf_counter() - self._began, code, status)
        if self._span is not None:
            if status is not None:
                self._span.set_attribute("http.response.status_code", status)
            end(self._span, code)


class Call(Timed):
    """A call whose trace the other end may join."""

    def __init__(self, on_end: OnEnd | None, traces: Traces | None, span: Span | None, *, propagate: bool) -> None:
        super().__init__(on_end, traces, span)
        self.headers: Mapping[str, str] = traceparent(span) if propagate and span is not None else {}

    def ended(self, code: str | None = None, *, status: int | None = None) -> None:
        """An HTTP status from 400 on is an error. Its code is the status, if there is no other."""
        super().ended(str(status) if code is None and status is not None and status >= 400 else code, status=status)


class Several(Observation):
    """One piece of work that has a span in several traces."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans

    def ended(self, code: str | None = None, *, status: int | None = None) -> None:  # noqa: ARG002
        for span in self._spans:
            end(span, code)


class Source(Observation):
    """A source that this thread reads. The messages that it finds have its name and beginning in their traces."""

    def __init__(self, name: str, left: Callable[[], None]) -> None:
        """`left` is called when the reading ends."""
        self.name = name
        self.began = time.time_ns()
        self.began_monotonic = time.monotonic()
        self._left = left

    def ended(self, code: str | None = None, *, status: int | None = None) -> None:  # noqa: ARG002
        self._left()
