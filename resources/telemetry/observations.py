"""What takes time, while it lasts: it knows when it began and within which span, and tells metrics and traces when it ends."""

import time
from collections.abc import Callable, Mapping, Sequence

from opentelemetry.trace import Span

from casebridge.defect import log_defect
from casebridge.telemetry import Observation
from resources.telemetry.traces import Traces, end, traceparent

Told = Callable[[float, str | None, int | None], None]
"""Hears how many seconds it took, the code of its error, and the status of an HTTP answer."""


class Timed(Observation):
    """Something that is measured, traced, or both."""

    def __init__(self, told: Told | None, traces: Traces | None = None, span: Span | None = None) -> None:
        """What this thread does until it ends is below `span`, if there is one."""
        self._told = told
        self._traces = traces
        self._span = span
        if traces is not None and span is not None:
            self._above, traces.current = traces.current, span
        self._began = time.perf_counter()

    def ended(self, code: str | None = None, *, status: int | None = None) -> None:
        """What was observed goes on, whatever is wrong with telling of it."""
        try:
            self._tell(code, status)
        except Exception as error:  # noqa: BLE001 see above
            log_defect(error)

    def _tell(self, code: str | None, status: int | None) -> None:
        if self._traces is not None and self._span is not None:
            self._traces.current = self._above
        if self._told is not None:
            self._told(time.perf_counter() - self._began, code, status)
        if self._span is not None:
            if status is not None:
                self._span.set_attribute("http.response.status_code", status)
            end(self._span, code)


class Call(Timed):
    """A call whose trace the other end may join."""

    def __init__(self, told: Told | None, traces: Traces | None, span: Span | None, *, propagate: bool) -> None:
        super().__init__(told, traces, span)
        self.headers: Mapping[str, str] = traceparent(span) if propagate and span is not None else {}

    def ended(self, code: str | None = None, *, status: int | None = None) -> None:
        """A status of failure is an error, with the status as its code."""
        super().ended(str(status) if code is None and status is not None and status >= 400 else code, status=status)


class Several(Observation):
    """One piece of work that stands in several traces."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans

    def ended(self, code: str | None = None, *, status: int | None = None) -> None:  # noqa: ARG002
        for span in self._spans:
            end(span, code)


class Source(Observation):
    """A source that this thread reads: when that began, for the traces of what it brings."""

    def __init__(self, name: str, left: Callable[[], None]) -> None:
        self.name = name
        self.began = time.time_ns()
        self.began_monotonic = time.monotonic()
        self._left = left

    def ended(self, code: str | None = None, *, status: int | None = None) -> None:  # noqa: ARG002
        self._left()
