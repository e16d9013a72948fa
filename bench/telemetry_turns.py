"""The program that carries cases with metrics or traces on and off in turns, and compares the processor time of the two.

One process carries all cases, so both sides have the same memory and the same minute of the machine. In a turn some
requests appear in FS, and each is carried to its registered answer. An order has:

- `telemetry`: the settings of what is on
- `turns` and `cases`: how many turns, and how many requests in each
- `control`: the address at which the simulators are controlled
"""

import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from bench.carrier import carry_cases
from bench.program import meter_of, open_database, process_from_environment, read_order, report, running_listener
from casebridge.operators.backlog import BacklogReader
from casebridge.settings import TelemetrySettings
from casebridge.telemetry import NOBODY, Observer, observed_by
from resources.telemetry.labels import SafeLabels
from resources.telemetry.open_telemetry import OpenTelemetryObserver
from resources.telemetry.prometheus import running_metrics
from resources.telemetry.sdk_resource import sdk_resource
from resources.telemetry.traces import Traces
from resources.wiring.process import Process
from simulators.control_client import ControlClient

SCRAPE_SECONDS: Final = 15.0
"""Prometheus's usual time between two scrapes, here of the time that metrics are on."""


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


@dataclass
class Side:
    """What the turns of one side, on or off, come to."""

    cases: int = 0
    seconds: float = 0.0

    @property
    def milliseconds(self) -> float:
        """Of processor time a case."""
        return 1000 * self.seconds / self.cases


def take_turns(order: Mapping[str, Any], on: Observed, carry: Callable[[], int]) -> tuple[Side, Side]:
    """Let the next requests appear in FS and carry them to their ends, again and again.

    The queue is empty between two turns, so a turn pays for all of its own work and for nothing else.
    """
    control = ControlClient(order["control"])
    sides = {True: Side(), False: Side()}
    for turn in range(-1, order["turns"]):
        control.release(order["cases"])
        # On, off, off, on: whatever grows or shrinks steadily troubles both sides alike.
        is_on = turn % 4 in (0, 3)
        began, processor_began = time.monotonic(), time.process_time()
        with observed_by(on.observer if is_on else NOBODY):
            cases = carry()
            if is_on:
                on.end_turn(time.monotonic() - began)
        if turn >= 0:  # one turn before is not counted: what is read only once is read there
            sides[is_on].cases += cases
            sides[is_on].seconds += time.process_time() - processor_began
    control.close()
    return sides[True], sides[False]


def compare(order: dict[str, Any]) -> dict[str, Any]:
    """Both sides' milliseconds of processor time a case."""
    with open_database() as database, process_from_environment() as process:
        institutions = process.stores.institutions.active()
        with (
            observed(TelemetrySettings(**order["telemetry"]), process) as observed_side,
            running_listener(process) as listener,
            meter_of(order) as meter,
        ):
            on, off = take_turns(order, observed_side, lambda: carry_cases(process, listener, database, institutions))
    return {"on": on.milliseconds, "off": off.milliseconds, "shares": meter.shares().as_json()}


if __name__ == "__main__":
    report(**compare(read_order()))
