"""Traces: one case is one trace, whose id is the case's correlation id, so nothing has to be stored or handed on.

Whether a case is traced is read from its id, alike in every process: from the 56 random bits at its end, as the conventions for
consistent sampling have it. The root of a trace is the acceptance of its first message, and has an id that every process knows.
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
"""A correlation id of ours: a UUID in 32 digits, of version 7, or 4 from earlier releases. No other name is a trace id."""
VERSION_7: Final = 7
SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class Traces:
    """Makes spans. `current` is the span within which this thread works, if that is traced. Thread-safe."""

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
        """The id of the case's trace; `None` if the case is not among the sample, or has a name that is not ours."""
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
        """A span right below the root."""
        parent = NonRecordingSpan(SpanContext(trace_id, _root_span(trace_id), is_remote=True, trace_flags=SAMPLED))
        return self._tracer.start_span(name, set_span_in_context(parent), kind, attributes, start_time=start)

    def below(
        self, parent: Span, name: str, kind: SpanKind, attributes: Attributes = None, start: int | None = None
    ) -> Span:
        return self._tracer.start_span(name, set_span_in_context(parent), kind, attributes, start_time=start)

    def shutdown(self) -> None:
        """Send what is left, as far as the collector takes it soon."""
        self._provider.shutdown()


def end(span: Span, code: str | None = None, end_time: int | None = None) -> None:
    """`code` is the error's, if there was one."""
    if code is not None:
        span.set_attribute("error.type", code)
        span.set_status(StatusCode.ERROR)
    span.end(end_time)


def is_first(trace_id: int, now: datetime, seconds: float) -> bool:
    """Whether the case was named within the last `seconds`: its id begins with the time, by the same clock as `now`.

    A message that is accepted by the work that named its case is the case's first.
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
    """Random ids, or those that this thread chose."""

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
