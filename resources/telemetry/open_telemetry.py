"""Makes OpenTelemetry's metrics and traces of what the engine reports to its observer. Either may be off."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import wraps
from typing import Final, ParamSpec

from opentelemetry.trace import Span, SpanKind

from casebridge.defect import log_defect
from casebridge.messaging.queue.message import Message, NewMessage
from casebridge.messaging.queue.outcome import Outcome
from casebridge.telemetry import NOTHING, Observation, Observer
from casebridge.tenant import institution_name
from resources.telemetry.labels import Labels, SafeLabels
from resources.telemetry.metrics import Metrics
from resources.telemetry.observations import Call, Several, Source, Timed
from resources.telemetry.traces import Traces, end, is_first

SYSTEM: Final = "casebridge"
"""Our name in the attribute that the conventions call `messaging.system`."""
Arguments = ParamSpec("Arguments")


def harmless(observe: Callable[Arguments, Observation]) -> Callable[Arguments, Observation]:
    """Log an error in observing and return `NOTHING`: it must not stop the observed work."""

    @wraps(observe)
    def observed(*arguments: Arguments.args, **named: Arguments.kwargs) -> Observation:
        try:
            return observe(*arguments, **named)
        except Exception as error:  # noqa: BLE001 see above
            log_defect(error)
            return NOTHING

    return observed


class OpenTelemetryObserver(Observer):
    """The observer of a process with metrics, traces or both. Thread-safe."""

    def __init__(
        self, labels: SafeLabels, metrics: Metrics | None, traces: Traces | None, *, propagate: bool = False
    ) -> None:
        """With `propagate`, calls to outside systems have a header that names their trace."""
        self._labels = labels
        self._metrics = metrics
        self._traces = traces
        self._propagate = propagate
        self._thread = threading.local()

    @harmless
    def reading(self, source: str, institution: str) -> Observation:  # noqa: ARG002
        if self._traces is None:
            return NOTHING

        def left() -> None:
            self._thread.source = None

        self._thread.source = read = Source(source, left)
        return read

    def accepted(self, messages: Sequence[NewMessage], now: datetime) -> None:
        self._accepted(messages, now)

    @harmless
    def _accepted(self, messages: Sequence[NewMessage], now: datetime) -> Observation:
        for message in messages:
            labels = self._labels.of(institution_name(message.org_id, message.env), message.queue, message.exam_system)
            if self._metrics is not None:
                self._metrics.sent.add(labels)
            if self._traces is not None and (trace_id := self._traces.trace_id(message.correlation_id)):
                self._trace_acceptance(self._traces, trace_id, labels, now)
        return NOTHING

    def _trace_acceptance(self, traces: Traces, trace_id: int, labels: Labels, now: datetime) -> None:
        """Make the span of an accepted message, from the beginning of the read of its source.

        The span of the case's first message is the root of its trace.
        """
        source: Source | None = getattr(self._thread, "source", None)
        at, handling_began = time.time_ns(), getattr(self._thread, "handling_began", time.monotonic())
        working = time.monotonic() - (source.began_monotonic if source else handling_began)
        began = source.began if source else at
        name, attributes = f"send {_queue(labels)}", _messaging("send", labels)
        if is_first(trace_id, now, working):
            sent = traces.root(trace_id, name, attributes, began)
        else:
            sent = traces.in_trace(trace_id, name, SpanKind.PRODUCER, attributes, began)
        if source is not None:
            read = traces.below(sent, f"read {source.name}", SpanKind.INTERNAL, dict(labels), began)
            end(read, end_time=at)
        end(sent)

    def claimed(self, messages: Sequence[Message]) -> None:
        self._claimed(messages)

    @harmless
    def _claimed(self, messages: Sequence[Message]) -> Observation:
        if self._metrics is not None:
            for message in messages:
                self._metrics.consumed.add(self._of_message(message))
        return NOTHING

    @harmless
    def handling(self, message: Message) -> Observation:
        labels = self._of_message(message)
        self._thread.handling_began = time.monotonic()
        record = None if self._metrics is None else self._metrics.handled(labels)
        span = self._in_trace(message.correlation_id, f"process {_queue(labels)}", SpanKind.CONSUMER, "process", labels)
        return Timed(record, self._traces, span)

    @harmless
    def step(self, name: str) -> Observation:
        return Timed(None, self._traces, span) if (span := self._below(f"step {name}", SpanKind.INTERNAL)) else NOTHING

    @harmless
    def settling(self, messages: Sequence[Message]) -> Observation:
        if self._traces is None:
            return NOTHING
        spans = [
            self._in_trace(each.correlation_id, f"settle {_queue(labels)}", SpanKind.CLIENT, "settle", labels)
            for each in messages
            if self._traces.trace_id(each.correlation_id) and (labels := self._of_message(each))
        ]
        return Several([span for span in spans if span is not None]) if spans else NOTHING

    def outcome(self, outcome: Outcome) -> None:
        self._outcome(outcome)

    @harmless
    def _outcome(self, outcome: Outcome) -> Observation:
        if self._metrics is not None:
            self._metrics.settled(outcome.status, self._of_message(outcome.message), outcome.code)
        return NOTHING

    def lease_lost(self, message: Message) -> None:
        self._lease_lost(message)

    @harmless
    def _lease_lost(self, message: Message) -> Observation:
        if self._metrics is not None:
            self._metrics.lease_losses.add(self._of_message(message))
        return NOTHING

    @harmless
    def call(self, system: str, institution: str, method: str, template: str) -> Observation:
        span = self._below(f"{method} {template}", SpanKind.CLIENT)
        if span is not None:
            span.set_attributes(
                {"http.request.method": method, "url.template": template, "system": system, "institution": institution}
            )
        record = None if self._metrics is None else self._metrics.called(system, institution, method)
        return Call(record, self._traces, span, propagate=self._propagate)

    @harmless
    def delivery(self, kind: str, institution: str, queue: str, correlation_id: str | None) -> Observation:
        labels = (*self._labels.of(institution, queue, None)[:2], ("system", kind))
        record = None if self._metrics is None else self._metrics.delivered(labels)
        span = self._in_trace(correlation_id, f"deliver {kind}", SpanKind.PRODUCER, "send", labels)
        return Timed(record, self._traces, span)

    def _of_message(self, message: Message) -> Labels:
        return self._labels.of(message.institution, message.queue, message.exam_system)

    def _in_trace(
        self, correlation_id: str | None, name: str, kind: SpanKind, operation: str, labels: Labels
    ) -> Span | None:
        """A span of the case's trace; `None` if the case is not in the sample."""
        if self._traces is None or (trace_id := self._traces.trace_id(correlation_id)) is None:
            return None
        return self._traces.in_trace(trace_id, name, kind, _messaging(operation, labels))

    def _below(self, name: str, kind: SpanKind) -> Span | None:
        if self._traces is None or (parent := self._traces.current) is None:
            return None
        return self._traces.below(parent, name, kind)


def _queue(labels: Labels) -> str:
    return dict(labels)["queue"]


def _messaging(operation: str, labels: Labels) -> dict[str, str]:
    """The attributes of the conventions, then institution and system."""
    record = dict(labels)
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.type": operation,
        "messaging.operation.name": operation,
        "messaging.destination.name": record["queue"],
        "institution": record["institution"],
        "system": record["system"],
    }
