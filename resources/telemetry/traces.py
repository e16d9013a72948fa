"""Traces: one case is one trace. Its id is the case's correlation id, so nothing has to be stored or passed on.

- Whether a case is traced follows from the last 56 bits of its id, which are random. So every process decides alike. The
  conventions for consistent sampling define this.
- The root of a trace is the acceptance of the case's first message. The root's id is a part of the trace's id, so every process
  knows it.
"""

import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes

RANDOM_BITS: Final = (1 << 56) - 1
SPAN_BITS: Final = (1 << 64) - 1
OURS: Final = re.compile(r"[0-9a-f]{12}[47][0-9a-f]{3}[89ab][0-9a-f]{15}")
"""A correlation id of casebridge: a UUID in 32 digits, of version 7, or 4 from earlier releases. Other ids are not traced."""
VERSION_7: Final = 7
SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class Traces:
    """Makes spans. `current` is the span of the work that this thread does, if it is traced. Thread-safe."""

    def __init__(self, processor: SpanProcessor, resource: Resource, ratio: float) -> None:
        self._ids = _Ids()
        self._provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=self._ids)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("casebridge")
        self._threshold = round((1.0 - ratio) * (RANDOM_BITS + 1))
        self._local = threading.local()

    @property
    def current(self) -> Span | None:
        span: Span | None = getattr(self._local, "span", None)
        return span

    @current.setter
    def current(self, span: Span | None) -> None:
        self._local.span = span

    def trace_id(self, correlation_id: str | None) -> int | None:
        """The id of the case's trace; `None` if the case is not in the sample, or its id is not one of casebridge."""
        if correlation_id is None or not OURS.fullmatch(correlation_id):
            return None
        trace_id = int(correlation_id, 16)
        return trace_id if trace_id & RANDOM_BITS >= self._threshold else None

    def root(self, trace_id: int, name: str, attributes: Attributes, start: int) -> Span:
        """The first span of the trace."""
        with self._ids.chosen(trace_id, _root_span(trace_id)):
            return self._tracer.start_span(name, Context(), SpanKind.PRODUCER, attributes, start_time=start)

    def in_trace(
        self, trace_id: int, name: str, kind: SpanKind, attributes: Attributes, start: int | None = None
    ) -> Span:
        """A span directly below the root."""
        parent = NonRecordingSpan(SpanContext(trace_id, _root_span(trace_id), is_remote=True, trace_flags=SAMPLED))
        return self._tracer.start_span(name, set_span_in_context(parent), kind, attributes, start_time=start)

    def below(
        self, parent: Span, name: str, kind: SpanKind, attributes: Attributes = None, start: int | None = None
    ) -> Span:
        return self._tracer.start_span(name, set_span_in_context(parent), kind, attributes, start_time=start)

    def shutdown(self) -> None:
        """Send the spans that are left, as far as the collector accepts them in time."""
        self._provider.shutdown()


def end(span: Span, code: str | None = None, end_time: int | None = None) -> None:
    """End a span. `code` is that of its error, if there was one."""
    if code is not None:
        span.set_attribute("error.type", code)
        span.set_status(StatusCode.ERROR)
    span.end(end_time)


def is_first(trace_id: int, now: datetime, seconds: float) -> bool:
    """Whether the case got its id within the last `seconds`. The id begins with its time, by the same clock as `now`.

    `seconds` is how long the work has lasted that accepts a message of the case. If that work made the id, the message is the
    case's first one.
    """
    milliseconds = trace_id >> 80
    return (trace_id >> 76) & 0xF == VERSION_7 and milliseconds >= int((now.timestamp() - seconds) * 1000) - 1


def traceparent(span: Span) -> Mapping[str, str]:
    """The header of W3C Trace Context."""
    context = span.get_span_context()
    return {"traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-01"}


def _root_span(trace_id: int) -> int:
    return trace_id & SPAN_BITS


class _Ids(IdGenerator):
    """Random ids, or the ids that this thread set by `chosen`."""

    def __init__(self) -> None:
        self._local = threading.local()

    @contextmanager
    def chosen(self, trace_id: int, span_id: int) -> Iterator[None]:
        self._local.ids = trace_id, span_id
        try:
            yield
        finally:
            self._local.ids = None

    def generate_trace_id(self) -> int:
        chosen: tuple[int, int] | None = getattr(self._local, "ids", None)
        return chosen[0] if chosen else secrets.randbits(127) + 1

    def generate_span_id(self) -> int:
        chosen: tuple[int, int] | None = getattr(self._local, "ids", None)
        return chosen[1] if chosen else secrets.randbits(63) + 1
