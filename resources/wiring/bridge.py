"""Wires one process: the engine with the clients of the outside world.

The listener, the command line and Dagster's resource all build this and nothing else. No Dagster here: a listener does not
need it, and it costs a hundred megabytes.
"""

import os
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from casebridge.alerts.blacklist import Blacklist
from casebridge.alerts.outbox import AlertOutbox
from casebridge.audit.log import AuditLog
from casebridge.clock import Clock, ServerClock
from casebridge.database import Database
from casebridge.exams.explanations import (
    answer_poller,
    exam_intake,
    exam_message,
    explanation_event_record,
    passed_deadlines,
    request_intake,
)
from casebridge.exams.explanations.answer_announcement import answer_announcer
from casebridge.exams.explanations.answer_flow import AnswerFlow
from casebridge.exams.explanations.answer_poller import AnswerPoller
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.exam_flow import ExamFlow
from casebridge.exams.explanations.exam_intake import ExamIntake
from casebridge.exams.explanations.explanation_event_flow import ExplanationEventFlow
from casebridge.exams.explanations.explanation_event_record import ExplanationEventRecords
from casebridge.exams.explanations.explanation_request_record import ExplanationRequestRecords
from casebridge.exams.explanations.inactive_institutions import InactiveInstitutions
from casebridge.exams.explanations.moved_deadlines import MovedDeadlines
from casebridge.exams.explanations.passed_deadlines import PassedDeadlines
from casebridge.exams.explanations.reopened import Reopenings
from casebridge.exams.explanations.request_flow import RequestFlow
from casebridge.exams.explanations.request_reader import RequestReader
from casebridge.exams.explanations.rows_gone import RowsGone
from casebridge.institutions.pauses import Pauses
from casebridge.institutions.register import InstitutionRegister
from casebridge.messaging.flow.flow import Flow
from casebridge.messaging.flow.retry import RetryPolicy
from casebridge.messaging.listener.lane_scheduler import LaneScheduler
from casebridge.messaging.listener.listener import Listener
from casebridge.messaging.listener.settler import Settler
from casebridge.messaging.listener.worker import Worker
from casebridge.messaging.outbox.channels import ALERT, LOG_INDEX, AlertEffects, LogIndexEffects
from casebridge.messaging.outbox.effect import Announcer
from casebridge.messaging.outbox.outcome_index import OutcomeIndex
from casebridge.messaging.outbox.pending_effects import PendingEffectStore
from casebridge.messaging.outbox.publication import KAFKA
from casebridge.messaging.outbox.relay import Relay
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators import retention
from casebridge.operators.case_history import CaseHistoryReader
from casebridge.operators.completeness_check import CompletenessCheck
from casebridge.operators.dead_letters import DeadLetters
from casebridge.operators.rekeying import Rekeying
from casebridge.operators.retention import Retention
from casebridge.operators.status import StatusReader
from casebridge.operators.synchronisation import Synchronisation
from casebridge.rates.share_keeper import ShareKeeper
from casebridge.rates.share_store import ShareStore
from casebridge.secrets import Secrets
from casebridge.served_environment import ServedEnvironment
from casebridge.settings import KafkaSettings, Settings
from casebridge.sources import record_inbox
from casebridge.sources.credential_probes import CredentialProbes
from casebridge.sources.dead_record import announce_dead_record
from casebridge.sources.polling import Polling
from casebridge.sources.record_flow import RecordFlow
from casebridge.sources.record_inbox import Intake, RecordInbox
from casebridge.sources.watermarks import ANSWERS, Watermarks
from casebridge.storage.migrations import MIGRATIONS
from casebridge.storage.processes import owner_of_version
from casebridge.storage.storage import Storage
from casebridge.told_names import ToldNames
from resources.laas import LaasClient
from resources.slack import SlackChannel
from resources.wiring.clients import WISEFLOW, InstitutionClients

if TYPE_CHECKING:  # kafka-python is imported where Kafka is on: it takes 0.15 s and warns on Python 3.11
    from resources.kafka.consumer import InboxConsumer
    from resources.kafka.lag import KafkaStatus
    from resources.kafka.producer import KafkaChannel

SUBMODULES: Final = frozenset(
    {
        exam_message.QUEUE, request_intake.QUEUE, answer_poller.QUEUE, explanation_event_record.QUEUE, record_inbox.QUEUE,
        exam_intake.SUBMODULE, answer_poller.SUBMODULE, passed_deadlines.SUBMODULE, retention.SUBMODULE,
    }
)  # fmt: skip
"""Whoever handles or writes something by a name of its own: what else stands in such a field came from outside."""


class Bridge:
    """Everything that one process of casebridge needs. Building it connects to nothing; close it when done."""

    def __init__(self, settings: Settings, secrets: Secrets | None = None, clock: Clock | None = None) -> None:
        self.settings = settings
        self.database = Database(settings.mongodb)
        self.clock = clock or ServerClock(self.database.server_time)
        self.storage = Storage(self.database, self.clock, MIGRATIONS)
        self.keeper = ShareKeeper(ShareStore(self.database), settings.rates.lease_seconds)
        self.clients = InstitutionClients(settings, secrets or Secrets(), self.keeper)
        self.served = ServedEnvironment.of(settings.environment)
        self.institutions = InstitutionRegister(self.database, self.served, frozenset({WISEFLOW}))
        self.names = ToldNames(self.institutions.names, SUBMODULES, _topics(settings.kafka))
        self.audit = AuditLog(self.database)
        self.alerts = AlertOutbox(
            self.database, self.clock, timedelta(minutes=settings.slack.fold_minutes), self.served, self.names
        )
        self.pauses = Pauses(self.database, self.clock, settings.queue, self.served)
        self.queue = MeldingQ(self.database, self.clock, settings.lease, self.served)
        self.cases = Cases(self.database, self.clock, settings.answers.deadline_days)
        self.watermarks = Watermarks(self.database, self.clock)
        self.probes = CredentialProbes(self.pauses, self.institutions, self.clients)
        polling = Polling(self.audit, self.alerts, self.pauses, self.probes, self.clock)
        intake = ExamIntake(
            self.queue,
            self.cases,
            self.audit,
            self.clock,
            Reopenings(self.cases, self.alerts).take,
            RowsGone(self.cases, self.alerts).compare,
            self.alerts,
        )
        deadlines = PassedDeadlines(self.cases, self.alerts, self.clock)
        self.reader = RequestReader(
            self.clients,
            self.queue,
            self.cases,
            self.watermarks,
            polling,
            self.clock,
            settings.fs,
            intake,
            deadlines,
            InactiveInstitutions(
                self.institutions, self.watermarks, self.cases, self.served, self.alerts, deadlines, self.clock
            ),
        )
        self.poller = AnswerPoller(
            self.clients,
            self.queue,
            self.cases,
            Watermarks(self.database, self.clock, ANSWERS),
            polling,
            self.clock,
            timedelta(days=settings.answers.watch_days),
        )
        self.flows: dict[str, Flow] = {
            flow.queue: flow
            for flow in (
                ExamFlow(self.institutions, self.reader.read_exam),
                RequestFlow(
                    self.institutions,
                    self.clients,
                    self.cases,
                    settings.answers.deadline_days,
                    MovedDeadlines(self.cases, self.alerts),
                ),
                AnswerFlow(self.institutions, self.clients, self.cases, self.queue.accept, self._asked),
            )
        }
        self._wire_kafka()
        self.worker = Worker(self.queue, self.flows, self.clock, settings.queue.maximum_attempts)
        slack, laas = settings.slack, settings.laas
        self._slack = SlackChannel(slack) if slack.token or slack.webhook_url else None
        self._laas = LaasClient(laas, settings.http) if laas.url else None
        self.settler = Settler(
            self.queue,
            self.audit,
            self.alerts,
            self.pauses,
            RetryPolicy(settings.queue),
            [*([OutcomeIndex(self.clock)] if self._laas else []), *self._kafka_announcers],
            self.clock,
            settings.lease,
        )
        self.relay = Relay(
            PendingEffectStore(self.database, self.clock, self.served),
            {
                ALERT: AlertEffects(self.alerts),
                LOG_INDEX: LogIndexEffects(self._laas, self.names),
                **self._kafka_channels,
            },
            self.alerts,
            Blacklist(self.database),
            self._slack,
            self.clock,
            timedelta(days=laas.give_up_days),
            hold=self.settings.lease,
            retry=timedelta(seconds=self.settings.queue.retry_base_seconds),
        )
        self.status = StatusReader(
            self.database, self.cases, self.pauses, self.alerts, self.clock, self.institutions.problems, self.names
        )
        self.rekeying = Rekeying(self.database)
        self.completeness = CompletenessCheck(self.database, self.cases, self.clock, settings.lease)
        self.histories = CaseHistoryReader(self.database, self.cases, self.audit, self.names)
        self.dead_letters = DeadLetters(
            self.database, self.queue, self.cases, self.audit, self.clock, self.served, self.names
        )
        self.retention = Retention(
            self.database, self.audit, self.clock, settings.retention, self.queue.move_discarded, self.served
        )
        self.synchronisation = Synchronisation(self.database, self.reader, self.poller, self.listener)

    def _asked(self, case_id: str) -> frozenset[MessageStatus]:
        return self.queue.statuses_of(case_id, request_intake.QUEUE)

    def _wire_kafka(self) -> None:
        """Kafka is optional: without a broker no flow, no announcer and no channel of its own is there."""
        kafka = self.settings.kafka
        self._kafka_announcers: tuple[Announcer, ...] = ()
        self._kafka_channels: dict[str, KafkaChannel] = {}
        self.records: RecordInbox | None = None
        if not kafka.bootstrap_servers:
            return
        readers = {
            kafka.explanation_requests_topic: ExplanationRequestRecords(self.institutions, self.cases),
            kafka.wiseflow_events_topic: ExplanationEventRecords(self.institutions, self.cases),
        }
        self.records = RecordInbox(self.queue, readers, kafka.maximum_record_bytes)
        for flow in (
            RecordFlow(self.records, self.queue, kafka.maximum_record_bytes),
            ExplanationEventFlow(self.institutions, self.poller),
        ):
            self.flows[flow.queue] = flow
        self._kafka_announcers = (answer_announcer(kafka.explanation_answers_topic), announce_dead_record)
        self._kafka_channels = {KAFKA: _kafka_channel(kafka)}

    def consumer(self, told: Callable[[Intake], None] = lambda _intake: None) -> "InboxConsumer | None":
        """What carries Kafka's records into the inbox; none where Kafka is off."""
        if self.records is None:
            return None
        from resources.kafka.consumer import InboxConsumer  # noqa: PLC0415 see above

        return InboxConsumer(self.settings.kafka, self.records, told)

    def kafka_status(self) -> "KafkaStatus | None":
        """How far consumers are behind; none where Kafka is off."""
        if self.records is None:
            return None
        from resources.kafka.lag import LagReader  # noqa: PLC0415 see above

        return LagReader(self.settings.kafka, self.records.topics).read()

    def listener(self, queues: tuple[str, ...] = ()) -> Listener:
        """A listener of this process; it may be run until stopped or until nothing is due."""
        listener = Listener(
            self.queue,
            LaneScheduler(self.queue, self.clock, queues),
            self.worker,
            self.settler,
            self.relay,
            self.pauses,
            self.settings.queue,
            self.probes.run_due,
        )
        listener.owner = owner_of_version(self.storage.version.supported)
        return listener

    def register_listener(self, listener: Listener) -> None:
        """Tell operators and sensors that a listener is at work."""
        self.database.listeners.update_one(
            {"_id": listener.owner},
            {
                "$set": {
                    "seenAt": self.clock.now(),
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "environment": self.served.env,
                    **self.storage.entry(),
                }
            },
            upsert=True,
        )

    def unregister_listener(self, listener: Listener) -> None:
        self.database.listeners.delete_one({"_id": listener.owner})

    def close(self) -> None:
        for client in (self._slack, self._laas, *self._kafka_channels.values()):
            if client is not None:
                client.close()
        self.clients.close()
        self.database.close()


def _topics(settings: KafkaSettings) -> frozenset[str]:
    return frozenset(str(value) for name, value in settings if name.endswith("_topic"))


def _kafka_channel(settings: KafkaSettings) -> "KafkaChannel":
    from resources.kafka.producer import KafkaChannel  # noqa: PLC0415 see above

    return KafkaChannel(settings)
