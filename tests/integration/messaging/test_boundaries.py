"""Any exception at a boundary of the queue: each message ends visibly, other messages are handled, and the listener lives.

The listener runs once for each boundary. Each message there meets another error, and five other messages meet none. A new
boundary gets a row in `BOUNDARIES`, and a new kind of error a row in `ERRORS`.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import pytest
from bson.errors import InvalidBSON, InvalidDocument
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    CursorNotFound,
    DocumentTooLarge,
    DuplicateKeyError,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WriteError,
)

from casebridge.alerts.blacklist import Blacklist
from casebridge.alerts.outbox import AlertOutbox
from casebridge.audit.entry import AuditEntry
from casebridge.audit.log import AuditLog
from casebridge.clock import ServerClock
from casebridge.database import Database
from casebridge.database_faults import is_away
from casebridge.errors import CaseError, LeaseLostError, NotReadyError, PermanentError, RateLimitedError, TransientError
from casebridge.institutions.pauses import Pauses
from casebridge.messaging.flow.flow import Flow
from casebridge.messaging.flow.retry import RetryPolicy
from casebridge.messaging.flow.step import Step, StepResult, Steps
from casebridge.messaging.listener import intervals
from casebridge.messaging.listener.lane_scheduler import LaneScheduler
from casebridge.messaging.listener.listener import Listener
from casebridge.messaging.listener.settler import Settler
from casebridge.messaging.listener.worker import Worker
from casebridge.messaging.outbox.channels import ALERT, AlertEffects
from casebridge.messaging.outbox.pending_effects import PendingEffectStore
from casebridge.messaging.outbox.relay import Relay
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Message, NewMessage, PendingEffect
from casebridge.messaging.queue.outcome import Outcome
from casebridge.settings import QueueSettings
from tests.support.waiting import wait_until

PAUSE_SECONDS: Final = 0.02
"""The listener's pause after each error that says that the database is away. Each boundary meets a dozen of them in a row."""
HOUSEKEEPING_SECONDS: Final = 0.1
ATTEMPTS: Final = 3
HOLD: Final = timedelta(seconds=0.5)
"""Effects that a relay dropped because of an error are pending until this time has passed."""
QUEUE: Final = "a queue"
EFFECT: Final = "an effect"
NEIGHBOURS: Final = 5
PASSES: Final = 1
"""How often an error is met that says that the same call may work later."""


class PanicError(BaseException):
    """Plays the part of pyo3's PanicException, which is no `Exception` either."""


ERRORS: Final[tuple[BaseException, ...]] = (
    ValueError("x"), KeyError("x"), TypeError("x"), AttributeError("x"), AssertionError("x"), RecursionError("x"),
    MemoryError("x"), OverflowError("x"), OSError("x"), TimeoutError("x"), StopIteration("x"),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    ExceptionGroup("x", [ValueError("y")]),
    SystemExit(1), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), PanicError(),
    InvalidDocument("x"), InvalidBSON("x"), DocumentTooLarge("x"),
    AutoReconnect("x"), NotPrimaryError("x"), ServerSelectionTimeoutError("x"),
    CursorNotFound("x", 43),
    OperationFailure("x", 13), OperationFailure("x", 14031), OperationFailure("x", 2), OperationFailure("x"),
    WriteError("x", 10334), DuplicateKeyError("x", 11000), WriteConcernError("x", 189),
    BulkWriteError({"writeErrors": [{"code": 10334, "index": 0}], "writeConcernErrors": []}),
    BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 91}]}),
    LeaseLostError("x"),
    PermanentError("test.permanent", "It failed.", "Look at it."),
    TransientError("test.transient", "It failed.", "Look at it."),
    NotReadyError("test.not_ready", "Not yet.", "Wait.", retry_after=timedelta(milliseconds=10)),
    RateLimitedError("test.rate", "Too fast.", "Wait.", retry_after=timedelta(milliseconds=10)),
)  # fmt: skip
BOUNDARIES: Final = (
    "prefetch", "step", "on_lease_lost", "audit_fields", "apply_to_cases", "set_aside", "announcer", "channel",
    "audit", "finish", "fail",
)  # fmt: skip
AT_FAILURE: Final = frozenset({"set_aside", "fail"})
"""Boundaries that only messages with a failed step reach."""


def costs_nothing(error: BaseException) -> bool:
    """Whether the error is met again and again until it is over, like an outage."""
    return is_away(error) or isinstance(error, LeaseLostError | NotReadyError | RateLimitedError)


def says_that_it_is_away(boundary: str, error: BaseException) -> bool:
    """Whether the error says that the channel is away. Then its effects stay pending, even for ever."""
    return boundary == "channel" and isinstance(error, CaseError) and not isinstance(error, PermanentError)


class Trap:
    """Raises each message's error at the armed boundary."""

    def __init__(self, boundary: str) -> None:
        self._boundary = boundary
        self._lock = threading.Lock()
        self.met: Counter[str] = Counter()

    def spring(self, boundary: str, key: str) -> None:
        if boundary != self._boundary or not key.startswith("bad"):
            return
        error = ERRORS[int(key.removeprefix("bad"))]
        # A message that can never be written can never be settled, so each error ends there.
        is_over = costs_nothing(error) or boundary == "fail" or says_that_it_is_away(boundary, error)
        passes = PASSES if is_over else 1_000
        with self._lock:
            self.met[key] += 1
            if self.met[key] > passes:
                return
        raise error


class First(StepResult):
    step = "first"
    found: int


class Second(StepResult):
    step = "second"


class TrappedFlow(Flow):
    queue = QUEUE

    def __init__(self, trap: Trap, database: Database, *, fails: bool, loses: bool) -> None:
        self._trap = trap
        self._database = database
        self._fails = fails
        self._loses = loses
        self._lost: set[str] = set()

    @property
    def steps(self) -> Steps:
        return (Step(First, self._first), Step(Second, lambda message: Second()))

    def prefetch(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._trap.spring("prefetch", message.key)

    def audit_fields(self, message: Message) -> dict[str, Any]:
        self._trap.spring("audit_fields", message.key)
        return {}

    def apply_to_cases(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._trap.spring("apply_to_cases", message.key)

    def set_aside(self, message: Message, error: CaseError) -> None:
        self._trap.spring("set_aside", message.key)

    def on_lease_lost(self, message: Message) -> None:
        self._trap.spring("on_lease_lost", message.key)

    def _first(self, message: Message) -> First:
        self._trap.spring("step", message.key)
        if message.key.startswith("bad") and self._fails:
            raise PermanentError("test.failed", "It failed.", "Look at it.")
        if message.key.startswith("bad") and self._loses and message.key not in self._lost:
            self._lost.add(message.key)  # another worker claims the message, and dies at once
            change = {"$inc": {"fence": 1}, "$set": {"owner": "another", "claim": "another"}}
            self._database.messages.update_one({"_id": message.key}, change)
        return First(found=1)


class TrappedAudit(AuditLog):
    def __init__(self, database: Database, trap: Trap) -> None:
        super().__init__(database)
        self._trap = trap

    def add(self, entries: Any) -> None:
        entries = list[AuditEntry](entries)
        for entry in entries:
            self._trap.spring("audit", entry.correlation_id)
        super().add(entries)


class TrappedQueue(MeldingQ):
    trap: Trap

    def finish(self, outcomes: Sequence[Outcome], relay_after: timedelta) -> list[Outcome]:
        for outcome in outcomes:
            self.trap.spring("finish", outcome.message.key)
        return super().finish(outcomes, relay_after)

    def fail(self, outcome: Outcome) -> None:
        self.trap.spring("fail", outcome.message.key)
        super().fail(outcome)


class TrappedChannel:
    may_be_given_up = False

    def __init__(self, trap: Trap) -> None:
        self._trap = trap
        self.delivered: set[str] = set()

    def deliver(self, effects: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        for effect in effects:
            self._trap.spring("channel", effect["body"]["key"])
            self.delivered.add(effect["body"]["key"])
        return {}


class TrappedSlack:
    def __init__(self, trap: Trap) -> None:
        self._trap = trap
        self.sent: list[str] = []

    def send(self, text: str) -> None:
        self.sent.append(text)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "AWAY_SECONDS", PAUSE_SECONDS)
    monkeypatch.setattr(intervals, "HOUSEKEEPING_SECONDS", HOUSEKEEPING_SECONDS)


class ListenerParts:
    """A listener with all its parts, on the real queue."""

    def __init__(self, database: Database, boundary: str) -> None:
        self.database = database
        self.trap = Trap(boundary)
        clock = ServerClock(database.server_time)
        settings = QueueSettings(
            workers=8, lease_seconds=2.0, retry_base_seconds=0.05, retry_cap_seconds=0.1, idle_poll_seconds=0.1,
            shutdown_seconds=5.0, maximum_attempts=ATTEMPTS,
        )  # fmt: skip
        lease = timedelta(seconds=settings.lease_seconds)
        self.queue = TrappedQueue(database, clock, lease)
        self.queue.trap = self.trap
        alerts = AlertOutbox(database, clock, timedelta(hours=1))
        pauses = Pauses(database, clock, settings)
        flow = TrappedFlow(self.trap, database, fails=boundary in AT_FAILURE, loses=boundary == "on_lease_lost")
        self.channel, self.slack = TrappedChannel(self.trap), TrappedSlack(self.trap)
        settler = Settler(
            self.queue, TrappedAudit(database, self.trap), alerts, pauses, RetryPolicy(settings), [self._announce],
            clock, lease,
        )  # fmt: skip
        self.relay = Relay(
            PendingEffectStore(database, clock), {ALERT: AlertEffects(alerts), EFFECT: self.channel}, alerts,
            Blacklist(database), self.slack, clock, timedelta(days=1), hold=HOLD, retry=timedelta(seconds=0.05),
        )  # fmt: skip
        worker = Worker(self.queue, {QUEUE: flow}, clock, settings.maximum_attempts)
        self.listener = Listener(
            self.queue, LaneScheduler(self.queue, clock), worker, settler, self.relay, pauses, settings, lambda: None
        )

    def _announce(self, message: Message, _settlement: Outcome) -> Sequence[PendingEffect]:
        self.trap.spring("announcer", message.key)
        return [PendingEffect.of(message, EFFECT, {"key": message.key})]

    @contextmanager
    def running(self) -> Iterator[threading.Thread]:
        stop = threading.Event()
        thread = threading.Thread(target=self.listener.run, args=(stop,))
        thread.start()
        try:
            yield thread
        finally:
            stop.set()
            thread.join()

    def accept(self, *keys: str) -> None:
        self.queue.accept([_message(key) for key in keys])

    def standing(self) -> dict[str, str]:
        live = {row["_id"]: row["status"] for row in self.database.messages.find({}, {"status": 1})}
        return live | {row["_id"]: "processed" for row in self.database.processed_messages.find({}, {"_id": 1})}


def _message(key: str) -> NewMessage:
    org_id = f"{key}.no" if key.startswith("bad") else "good.no"
    return NewMessage(key, QUEUE, org_id, "test", f"case of {key}", key, {"said": key}, exam_system="WISEFLOW")


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_messages_end_visibly_whatever_is_raised_at_the_boundary(boundary: str, database: Database) -> None:
    parts = ListenerParts(database, boundary)
    bad = [f"bad{number}" for number in range(len(ERRORS))]
    good = [f"good{number}" for number in range(NEIGHBOURS)]
    parts.accept(*bad, *good)

    with parts.running() as listener:
        wait_until(
            lambda: set(parts.standing().values()) <= {"processed", "dead"}, "each message is settled", seconds=90.0
        )
        parts.accept("good-later")
        wait_until(lambda: parts.standing()["good-later"] == "processed", "the listener goes on")
        wait_until(
            lambda: {*good, "good-later"} <= parts.channel.delivered, "what neighbours owe is delivered", seconds=90.0
        )
        wait_until(lambda: not _owing(database), "nobody owes anything", seconds=90.0)
        assert listener.is_alive()

    standing = parts.standing()
    assert {standing[key] for key in good} == {"processed"}
    # The prefetch for all messages ends with the first error. Then each step reads by itself.
    assert parts.trap.met if boundary == "prefetch" else set(parts.trap.met) == set(bad), "each error was met"
    for row in database.messages.find({"status": "dead"}):
        assert row["errors"][-1]["code"]
    assert database.messages.count_documents({"status": "dead"}) == 0 or database.alerts.count_documents({}) > 0
    free = {key for key, error in zip(bad, ERRORS, strict=True) if costs_nothing(error)}
    if boundary in ("step", "apply_to_cases", "finish", "audit"):
        assert {standing[key] for key in free} == {"processed"}, "an outage costs no message"


def _owing(database: Database) -> int:
    owing = {"effectsDueAt": {"$exists": True}}
    return database.messages.count_documents(owing) + database.processed_messages.count_documents(owing)


def test_an_effect_that_makes_its_channel_fail_is_set_aside_and_alerted(database: Database) -> None:
    """The effect is alerted and stays in the message. An effect of a channel that is away is delivered when it is back."""
    parts = ListenerParts(database, "channel")
    bad = [f"bad{number}" for number in range(len(ERRORS))]
    parts.accept(*bad, "good")
    with parts.running():
        wait_until(lambda: set(parts.standing().values()) == {"processed"}, "all are processed")
        wait_until(lambda: not _owing(database), "nobody owes anything", seconds=90.0)

    kept = {row["_id"] for row in database.processed_messages.find({"undelivered.kind": EFFECT})}
    away = {
        key for key, error in zip(bad, ERRORS, strict=True) if is_away(error) or says_that_it_is_away("channel", error)
    }
    assert "good" in parts.channel.delivered
    assert away <= parts.channel.delivered
    assert kept & parts.channel.delivered == set()
    assert len(kept) > len(ERRORS) // 3
    assert kept | parts.channel.delivered == {*bad, "good"}
    alerted = database.alerts.distinct("correlationIds", {"step": "deliver_effect"})
    assert set(alerted) == kept


Send = Callable[[str], None]


def test_an_alert_that_makes_its_channel_fail_blocks_no_other(database: Database) -> None:
    parts = ListenerParts(database, "none")
    alerts = AlertOutbox(database, ServerClock(database.server_time), timedelta(hours=1))
    from casebridge.alerts.alert import Alert  # noqa: PLC0415

    for number in range(len(ERRORS)):
        alerts.enqueue(Alert(f"org{number}/test", "org", "queue", "step", f"test.code{number}", "It failed.", "Look."))
    alerts.enqueue(Alert("good/test", "org", "queue", "step", "test.good", "It failed.", "Look."))
    broken: set[int] = set()
    sent: list[str] = []

    def send(text: str) -> None:
        for number, error in enumerate(ERRORS):
            if f"test.code{number}\n" in text and number not in broken:
                broken.add(number)
                raise error
        sent.append(text)

    parts.slack.send = send  # type: ignore[method-assign]  # no server can raise these
    with parts.running() as listener:
        wait_until(lambda: len(sent) == len(ERRORS) + 1, "each alert is sent in the end", seconds=90.0)
        assert listener.is_alive()
    assert len(broken) == len(ERRORS)
