"""Which trace headers an outside system gets: none, unless this is switched on."""

from datetime import UTC, datetime

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from casebridge.messaging.queue.message import Message, NewMessage
from casebridge.safe_names import AllNames
from casebridge.settings import HttpSettings, Settings
from casebridge.telemetry import observed_by, observer
from resources.http.client import HttpCall, HttpClient
from resources.telemetry.labels import SafeLabels
from resources.telemetry.open_telemetry import OpenTelemetryObserver
from resources.telemetry.traces import Traces
from tests.support.scripted_server import ScriptedServer, answer

CORRELATION_ID = "019ac0ab123470a2934567812345ffff"
NOW = datetime(2026, 11, 28, tzinfo=UTC)


def head_of_a_call(*, propagate: bool, ratio: float = 1.0) -> tuple[str, InMemorySpanExporter]:
    """The request head that a server gets with a call that a worker makes for a message."""
    exporter = InMemorySpanExporter()
    traces = Traces(SimpleSpanProcessor(exporter), Resource.create(), ratio)
    seeing = OpenTelemetryObserver(SafeLabels(AllNames()), None, traces, propagate=propagate)
    new = NewMessage("key", "queue", "uis.no", "prod", "case", CORRELATION_ID, {}, exam_system="WISEFLOW")
    with ScriptedServer(answer("200 OK", b"{}")) as server, observed_by(seeing):
        client = HttpClient("FS", server.address, HttpSettings())
        handled = observer().handling(Message.from_document(new.document(NOW)))
        client.send(HttpCall("GET", "/exams"))
        handled.ended()
        client.send(HttpCall("GET", "/exams"))  # a call for no message
        client.close()
        traces.shutdown()
        first, last = (head.lower() for head in server.requests)
        assert "traceparent" not in last
        return first, exporter


def test_nothing_is_propagated_by_default() -> None:
    assert Settings().telemetry.propagate is False
    head, exporter = head_of_a_call(propagate=False)
    assert [span.name for span in exporter.get_finished_spans()] == ["GET /exams", "process queue"]
    for name in ("traceparent", "tracestate", "baggage", "b3", CORRELATION_ID):
        assert name not in head


def test_the_header_has_the_span_of_the_call_if_switched_on() -> None:
    head, exporter = head_of_a_call(propagate=True)
    call, _ = exporter.get_finished_spans()
    assert f"traceparent: 00-{CORRELATION_ID}-{call.context.span_id:016x}-01" in head


@pytest.mark.parametrize("propagate", [False, True])
def test_a_case_outside_the_sample_sends_no_trace_header(propagate: bool) -> None:
    head, exporter = head_of_a_call(propagate=propagate, ratio=0.0)
    assert not exporter.get_finished_spans()
    assert "traceparent" not in head
