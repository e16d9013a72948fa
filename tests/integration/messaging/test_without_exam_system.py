"""A listener handles messages of a capability without an exam system: audited, retried, set aside, paused."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from casebridge.alerts.blacklist import Blacklist
from casebridge.alerts.outbox import AlertOutbox
from casebridge.audit.log import AuditLog
from casebridge.clock import ServerClock
from casebridge.database import Database
from casebridge.errors import AuthBrokenError, CaseError, PermanentError, TransientError
from casebridge.exams.explanations.audit_columns import NO_COLUMNS
from casebridge.institutions.pauses import Pauses
from casebridge.messaging.flow.flow import Flow
from casebridge.messaging.flow.retry import RetryPolicy
from casebridge.messaging.flow.step import Step, StepResult, Steps
from casebridge.messaging.listener.lane_scheduler import LaneScheduler
from casebridge.messaging.listener.listener import Listener
from casebridge.messaging.listener.settler import Settler
from casebridge.messaging.listener.worker import Worker
from casebridge.messaging.outbox.channels import ALERT, AlertEffects
from casebridge.messaging.outbox.pending_effects import PendingEffectStore
from casebridge.messaging.outbox.relay import Relay
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Message, NewMessage
from casebridge.settings import QueueSettings
from tests.support.waiting import wait_until

QUEUE = "archive"
LEASE = timedelta(seconds=10)
HOUR = timedelta(hours=1)


class Stored(StepResult):
    """The result of the step: the document was stored."""

    step = "store"
    stored: bool


class ArchiveFlow(Flow):
    """One step. It raises the errors that its message is to meet, each once."""

    queue = QUEUE

    def __init__(self) -> None:
        self.errors: dict[str, list[CaseError]] = {}
        self.runs: Counter[str] = Counter()
        self.refused: set[str] = set()
        """Messages whose credentials are refused, however often they are tried: the listener may not have seen the pause yet."""

    @property
    def steps(self) -> Steps:
        return (Step(Stored, self._store),)

    def audit_fields(self, message: Message) -> dict[str, Any]:
        return {"archiveId": message.payload["archiveId"]}

    def _store(self, message: Message) -> Stored:
        self.runs[message.key] += 1
        if message.key in self.refused:
            raise AuthBrokenError("archive.refused", "It refuses us.", "Renew the key.", system="archive")
        if errors := self.errors.get(message.key):
            raise errors.pop(0)
        return Stored(stored=True)


class Slack:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def send(self, text: str) -> None:
        self.texts.append(text)


class Archive:
    """A listener with all its parts, on the real queue."""

    def __init__(self, database: Database) -> None:
        self.database, self.flow, self.slack = database, ArchiveFlow(), Slack()
        self.clock = ServerClock(database.server_time)
        settings = QueueSettings(workers=2, retry_base_seconds=0.05, retry_cap_seconds=0.1, idle_poll_seconds=0.05)
        self.queue = MeldingQ(database, self.clock, LEASE)
        self.pauses = Pauses(database, self.clock, settings)
        alerts = AlertOutbox(database, self.clock, HOUR)
        settler = Settler(
            self.queue, AuditLog(database), alerts, self.pauses, RetryPolicy(settings), [], self.clock, LEASE
        )
        relay = Relay(
            PendingEffectStore(database, self.clock), {ALERT: AlertEffects(alerts)}, alerts, Blacklist(database),
            self.slack, self.clock, HOUR, hold=LEASE, retry=timedelta(seconds=0.05),
        )  # fmt: skip
        worker = Worker(self.queue, {QUEUE: self.flow}, self.clock, settings.maximum_attempts)
        self.new_listener: Callable[[], Listener] = lambda: Listener(
            self.queue,
            LaneScheduler(self.queue, self.clock),
            worker,
            settler,
            relay,
            self.pauses,
            settings,
            lambda: None,
        )

    def accept(self, key: str, *errors: CaseError, exam_system: str = "") -> None:
        self.flow.errors[key] = list(errors)
        payload = {"archiveId": f"id of {key}"}
        self.queue.accept(
            [NewMessage(key, QUEUE, "uis.no", "test", f"case of {key}", key, payload, exam_system=exam_system)]
        )

    def status(self, key: str) -> str:
        found = self.database.messages.find_one({"_id": key}) or self.database.processed_messages.find_one({"_id": key})
        return str(found["status"]) if found else "none"

    @contextmanager
    def running(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self.new_listener().run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def archive(database: Database) -> Archive:
    return Archive(database)


def test_a_message_is_handled_and_audited_with_the_fields_of_its_flow(archive: Archive) -> None:
    archive.accept("one")

    with archive.running():
        wait_until(lambda: archive.status("one") == "processed", "it is processed")

    entries = list(archive.database.audit_log.find({"correlationId": "one"}).sort("time", 1))
    assert [entry["step"] for entry in entries] == ["received", "store"]
    for entry in entries:
        assert (entry["archiveId"], entry["examSys"], entry["orgId"]) == ("id of one", "", "uis.no")
        assert not NO_COLUMNS.keys() & entry.keys(), "no field of an exam"


def test_a_message_is_retried_and_set_aside(archive: Archive) -> None:
    archive.accept("late", TransientError("archive.away", "It is away.", "Wait."))
    archive.accept("bad", PermanentError("archive.refused", "It refuses this.", "Look at it."))

    with archive.running():
        wait_until(lambda: archive.status("late") == "processed", "it is tried again")
        wait_until(lambda: archive.status("bad") == "dead", "it is set aside")
        wait_until(lambda: bool(archive.slack.texts), "people are told")

    assert archive.flow.runs == {"late": 2, "bad": 1}
    (text,) = archive.slack.texts
    assert text.startswith("*uis.no/test* · archive · store: archive.refused\n")


def test_refused_credentials_pause_only_messages_without_an_exam_system(archive: Archive) -> None:
    archive.flow.refused.add("refused")
    archive.accept("refused")
    with archive.running():
        wait_until(lambda: bool(archive.pauses.all()), "it is paused")
    archive.accept("same")
    archive.accept("other", exam_system="WISEFLOW")
    with archive.running():  # the listener reads the pauses before its first claim
        wait_until(lambda: archive.status("other") == "processed", "the exam system goes on")

    assert (archive.status("refused"), archive.status("same")) == ("enqueued", "enqueued")
    (pause,) = archive.pauses.all()
    assert (pause.who, pause.exam_system) == ("uis.no/test/", "")
    archive.flow.refused.clear()
    archive.pauses.lift(pause)
    with archive.running():
        wait_until(lambda: {archive.status(key) for key in ("refused", "same")} == {"processed"}, "it goes on")


def test_a_pause_of_the_whole_institution_stops_the_message(archive: Archive) -> None:
    archive.database.pauses.insert_one({"_id": "uis.no/test", "institution": "uis.no/test"})  # of an earlier version
    archive.accept("one")
    archive.queue.accept([NewMessage("free", QUEUE, "uio.no", "test", "case of free", "free", {"archiveId": "x"})])

    with archive.running():
        wait_until(lambda: archive.status("free") == "processed", "another institution goes on")

    assert archive.status("one") == "enqueued"
    (pause,) = archive.pauses.all()
    archive.pauses.lift(pause)
    with archive.running():
        wait_until(lambda: archive.status("one") == "processed", "it goes on")
