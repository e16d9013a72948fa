"""The metrics of one process. Names follow OpenTelemetry's conventions for messaging and HTTP where these have one.

The metrics of the whole queue (depth, oldest, owed) are the same in every process that is scraped: take the highest, not the sum.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from prometheus_client import CollectorRegistry

from casebridge.defect import log_away_or_defect
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.backlog import BacklogReader, Waiting
from resources.telemetry.counts import Counts
from resources.telemetry.durations import Durations
from resources.telemetry.labels import Labels
from resources.telemetry.log import logger
from resources.telemetry.observations import OnEnd

LEFT: Final = "left"
"""The key of claims that ended without an outcome."""
PROCESS: Final[Labels] = (("messaging.system", "casebridge"), ("messaging.operation.name", "process"))
"""The labels that the conventions require of `messaging.process.duration`."""
METHOD: Final = "http.request.method"
STATUS: Final = "http.response.status_code"


class Metrics:
    """All instruments of casebridge: OpenTelemetry's, and the durations of Prometheus's client."""

    def __init__(self, meter: Meter, registry: CollectorRegistry, backlog: BacklogReader, read_seconds: float) -> None:
        def count(name: str, description: str, unit: str = "{message}") -> Counts:
            return Counts(meter, name, unit, description)

        self.sent = count("messaging.client.sent.messages", "Messages that this process put into the inbox.")
        self.consumed = count("messaging.client.consumed.messages", "Messages that this process claimed.")
        self._process_duration = Durations(
            registry,
            "messaging.process.duration",
            "Time that a worker took for one message's steps, by how they ended.",
            ("institution", "queue", "system", *dict(PROCESS), "code"),
        )
        self._outcomes: Mapping[str, Counts] = {
            MessageStatus.PROCESSED.value: count("casebridge.messages.processed", "Messages that were finished."),
            MessageStatus.FAILED.value: count(
                "casebridge.messages.failed", "Attempts that failed; the message is tried again."
            ),
            MessageStatus.DEAD.value: count("casebridge.messages.dead", "Messages that were set aside, for a person."),
            LEFT: count(
                "casebridge.messages.left", "Claims that ended without an outcome: lease lost, or database away."
            ),
        }
        self.lease_losses = count(
            "casebridge.lease.losses", "Messages that another worker took over while this process had them.", "{lease}"
        )
        self.deliveries = count(
            "casebridge.deliveries", "Deliveries of what messages owe to the outside, by how they ended.", "{delivery}"
        )
        self._request_duration = Durations(
            registry,
            "http.client.request.duration",
            "Time of one call to an outside system, its answer read to the end.",
            ("institution", "system", METHOD, STATUS, "code"),
        )
        _QueueGauges(meter, backlog, read_seconds)

    def settled(self, status: MessageStatus | None, labels: Labels, code: str | None) -> None:
        """Count the outcome of a claimed message. The status `None` is a claim without an outcome."""
        self._outcomes[LEFT if status is None else status.value].add(_with_code(labels, code))

    def handled(self, labels: Labels) -> OnEnd:
        """The function that records how long a worker took for a message."""

        def on_end(seconds: float, code: str | None, _status: int | None) -> None:
            self._process_duration.record(seconds, _with_code((*labels, *PROCESS), code))

        return on_end

    def called(self, system: str, institution: str, method: str) -> OnEnd:
        """The function that records how long a call took."""
        labels: Labels = (("institution", institution), ("system", system), (METHOD, method))

        def on_end(seconds: float, code: str | None, status: int | None) -> None:
            answered = labels if status is None else (*labels, (STATUS, str(status)))
            self._request_duration.record(seconds, _with_code(answered, code))

        return on_end

    def delivered(self, labels: Labels) -> OnEnd:
        """The function that counts how a delivery ended."""

        def on_end(_seconds: float, code: str | None, _status: int | None) -> None:
            self.deliveries.add(_with_code(labels, code))

        return on_end


class _QueueGauges:
    """Gauges of the messages in the database. A scrape reads them if the last reading is older than `read_seconds`."""

    def __init__(self, meter: Meter, backlog: BacklogReader, read_seconds: float) -> None:
        self._backlog = backlog
        self._read_seconds = read_seconds
        self._read_at = float("-inf")
        self._found: dict[tuple[str, str, str], Waiting] = {}
        self._is_up = False
        for name, unit, description, value in (
            ("casebridge.queue.depth", "{message}", "Messages that wait or are in work.", lambda each: each.pending),
            (
                "casebridge.queue.dead",
                "{message}",
                "Messages that are set aside, for a person.",
                lambda each: each.dead,
            ),
            (
                "casebridge.queue.oldest_pending",
                "s",
                "Age of the oldest message that waits or is in work.",
                lambda each: each.oldest_pending_seconds,
            ),
            (
                "casebridge.deliveries.owed",
                "{message}",
                "Messages that owe something to the outside which was not delivered yet.",
                lambda each: each.owed,
            ),
        ):
            meter.create_observable_gauge(name, [self._reader(value)], unit, description)
        meter.create_observable_gauge(
            "casebridge.database.up", [self._up], "", "1 if the last reading of the queue for these metrics succeeded."
        )

    def _reader(self, value: Callable[[Waiting], float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_options: CallbackOptions) -> Iterable[Observation]:
            self._refresh()
            if not self._is_up:
                return []
            return [Observation(value(waiting), dict(_labels(lane))) for lane, waiting in self._found.items()]

        return read

    def _up(self, _options: CallbackOptions) -> Iterable[Observation]:
        self._refresh()
        return [Observation(int(self._is_up))]

    def _refresh(self) -> None:
        """Read the queue again if the last reading is too old. Lanes that are empty now stay in the metrics, as zeros.

        A scrape reads all gauges one after the other in one thread, so this needs no lock.
        """
        if time.monotonic() - self._read_at < self._read_seconds:
            return
        try:
            found = self._backlog.read()
            self._is_up = True
            self._found = {**dict.fromkeys(self._found, Waiting()), **found}
        except Exception as error:  # noqa: BLE001 a scrape still shows the other metrics
            self._is_up = False
            log_away_or_defect(logger, error, ": the queue's depths are not told")
        self._read_at = time.monotonic()


def _labels(lane: tuple[str, str, str]) -> Labels:
    return tuple(zip(("institution", "queue", "system"), lane, strict=True))


def _with_code(labels: Labels, code: str | None) -> Labels:
    return (*labels, ("code", code)) if code else labels
