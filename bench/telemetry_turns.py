"""The program that carries cases while metrics or traces go on and off in turns, and compares the processor time of the two.

One process carries all cases, so both sides have the same queue, the same memory and the same minute of the machine. After each
`TURN` messages the observer changes: on, off, off, on, and so forth. An order has `cases`, `telemetry` (the settings of what is
on) and `first_on`.
"""

import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from bench.carrier import carry_cases
from bench.program import bridge_of_this_process, meter_of, open_database, read_order, report, running_listener
from casebridge.messaging.listener.listener import Listener
from casebridge.operators.backlog import BacklogReader
from casebridge.settings import TelemetrySettings
from casebridge.telemetry import NOBODY, Observer, observed_by
from resources.telemetry.labels import SafeLabels
from resources.telemetry.open_telemetry import OpenTelemetryObserver
from resources.telemetry.prometheus import running_metrics
from resources.telemetry.sdk_resource import sdk_resource
from resources.telemetry.traces import Traces
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process

TURN: Final = 50
"""Messages of one turn: some two seconds."""
SCRAPE_SECONDS: Final = 15.0
"""Prometheus's usual time between two scrapes, here of the time that metrics are on."""
CHECK_EVERY_SECONDS: Final = 0.02


class Observed:
    """What is measured: an observer, and all that it does beside the messages."""

    def __init__(self, observer: Observer, settings: TelemetrySettings, spans: BatchSpanProcessor | None) -> None:
        self.observer = observer
        self._spans = spans
        self._port = settings.metrics_port
        self._seconds_since_scrape = 0.0

    def end_turn(self, seconds: float) -> None:
        """Pay within the turn for what it caused: the spans are sent, and the scrape that is due is answered."""
        if self._spans is not None:
            self._spans.force_flush()
        self._seconds_since_scrape += seconds
        if self._port is not None and self._seconds_since_scrape >= SCRAPE_SECONDS:
            self._seconds_since_scrape = 0.0
            # Compressed, as Prometheus asks for it: that costs us something, too.
            request = urllib.request.Request(
                f"http://127.0.0.1:{self._port}/metrics", headers={"Accept-Encoding": "gzip"}
            )
            with urllib.request.urlopen(request) as answer:  # noqa: S310 loopback
                answer.read()


@contextmanager
def observed(settings: TelemetrySettings, process: Process) -> Iterator[Observed]:
    """As `resources.wiring.observing` makes it, with a hand on what sends the spans."""
    stores = process.stores
    with ExitStack() as running:
        metrics = traces = spans = None
        if settings.metrics_port is not None:
            backlog = BacklogReader(stores.database, stores.clock, stores.names)
            metrics = running.enter_context(running_metrics(settings, backlog))
        if settings.traces_endpoint:
            spans = BatchSpanProcessor(OTLPSpanExporter(settings.traces_endpoint))
            traces = Traces(spans, sdk_resource(), settings.traces_ratio)
            running.callback(traces.shutdown)
        yield Observed(OpenTelemetryObserver(SafeLabels(stores.names), metrics, traces), settings, spans)


class Turns:
    """Changes the observer while the listener works, and adds up each side's messages and processor seconds."""

    def __init__(self, listener: Listener, on: Observed, *, first_on: bool) -> None:
        self._listener = listener
        self._on = on
        self._first_on = first_on
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="turns")
        self.messages = {True: 0, False: 0}
        self.seconds = {True: 0.0, False: 0.0}

    def __enter__(self) -> "Turns":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def milliseconds(self, *, on: bool) -> float:
        """Of processor time a message."""
        return 1000 * self.seconds[on] / max(1, self.messages[on])

    def _run(self) -> None:
        self._take_turn()  # not counted: tokens and caches are still missing
        turn = 0
        while not self._ended.is_set():
            # On, off, off, on: whatever grows or shrinks steadily troubles both sides alike.
            on = (turn % 4 in (0, 3)) is self._first_on
            with observed_by(self._on.observer if on else NOBODY):
                messages, seconds = self._take_turn(self._on if on else None)
            if not self._ended.is_set():  # the last turn is not counted: it may be short
                self.messages[on] += messages
                self.seconds[on] += seconds
            turn += 1

    def _take_turn(self, on: Observed | None = None) -> tuple[int, float]:
        """Its messages, those included that are handled while it is ended, and its processor seconds."""
        began, processor_began, done_before = time.monotonic(), time.process_time(), self._done()
        while self._done() - done_before < TURN and not self._ended.wait(CHECK_EVERY_SECONDS):
            pass
        if on:
            on.end_turn(time.monotonic() - began)
        return self._done() - done_before, time.process_time() - processor_began

    def _done(self) -> int:
        return sum(dict(self._listener.outcome_counts.outcomes).values())


def carry(order: dict[str, Any]) -> dict[str, Any]:
    """Both sides' milliseconds of processor time a message."""
    with open_database() as database, bridge_of_this_process() as process:
        # Before the turns: reading all requests belongs to neither side.
        process.synchronisation.poll(process.capability(Explanations).requests, process.stores.institutions.active())
        with (
            observed(TelemetrySettings(**order["telemetry"]), process) as on,
            running_listener(process) as listener,
            meter_of(order) as meter,
            Turns(listener, on, first_on=order["first_on"]) as turns,
        ):
            carry_cases(process, listener, order["cases"], database)
    return {
        "on": turns.milliseconds(on=True),
        "off": turns.milliseconds(on=False),
        "shares": meter.shares().as_json(),
    }


if __name__ == "__main__":
    report(**carry(read_order()))
