"""Wires one process: the engine with the clients of the outside world.

The listener, the command line and Dagster's resource all build this and nothing else. No Dagster here: a listener does not
need it, and it costs a hundred megabytes.
"""

import os
import socket
from datetime import timedelta

from casebridge.alerts.blacklist import Blacklist
from casebridge.alerts.outbox import AlertOutbox
from casebridge.audit.log import AuditLog
from casebridge.clock import Clock, ServerClock
from casebridge.database import Database
from casebridge.exams.answer_flow import AnswerFlow
from casebridge.exams.answer_poller import AnswerPoller
from casebridge.exams.cases import Cases
from casebridge.exams.credential_trials import CredentialTrials
from casebridge.exams.institution_register import InstitutionRegister
from casebridge.exams.polling import Polling
from casebridge.exams.request_flow import RequestFlow
from casebridge.exams.request_reader import RequestReader
from casebridge.exams.watermarks import Watermarks
from casebridge.messaging.effect_channels import ALERT, LOG_INDEX, AlertEffects, LogIndexEffects
from casebridge.messaging.flow import Flow
from casebridge.messaging.listener import Listener
from casebridge.messaging.meldingq import MeldingQ
from casebridge.messaging.outcome_index import OutcomeIndex
from casebridge.messaging.owed_effects import OwedEffects
from casebridge.messaging.pauses import Pauses
from casebridge.messaging.relay import Relay
from casebridge.messaging.retry import RetryPolicy
from casebridge.messaging.settler import Settler
from casebridge.messaging.turns import Turns
from casebridge.messaging.worker import Worker
from casebridge.operators.accounting import Accounting
from casebridge.operators.dead_letters import DeadLetters
from casebridge.operators.retention import Retention
from casebridge.operators.road import RoadFinder
from casebridge.operators.status import StatusReader
from casebridge.operators.synchronisation import Synchronisation
from casebridge.rates.share_book import ShareBook
from casebridge.rates.share_keeper import ShareKeeper
from casebridge.secrets import Secrets
from casebridge.settings import Settings
from resources.laas import LaasClient
from resources.outside import OutsideWorld
from resources.slack import SlackChannel


class Bridge:
    """Everything that one process of casebridge needs. Building it connects to nothing; close it when done."""

    def __init__(self, settings: Settings, secrets: Secrets | None = None, clock: Clock | None = None) -> None:
        self.settings = settings
        self.database = Database(settings.mongodb)
        self.clock = clock or ServerClock(self.database.server_time)
        self.keeper = ShareKeeper(ShareBook(self.database), settings.rates.lease_seconds)
        self.outside = OutsideWorld(settings, secrets or Secrets(), self.keeper)
        self.institutions = InstitutionRegister(self.database, settings.environment)
        self.audit = AuditLog(self.database)
        self.alerts = AlertOutbox(self.database, self.clock, timedelta(minutes=settings.slack.fold_minutes))
        self.pauses = Pauses(self.database, self.clock, settings.queue)
        self.queue = MeldingQ(self.database, self.clock, settings.lease)
        self.cases = Cases(self.database, self.clock, settings.answers.deadline_days)
        self.watermarks = Watermarks(self.database, self.clock)
        self.trials = CredentialTrials(self.pauses, self.institutions, self.outside)
        polling = Polling(self.audit, self.alerts, self.pauses, self.trials, self.clock)
        self.reader = RequestReader(
            self.outside, self.queue, self.cases, self.watermarks, polling, self.clock, settings.fs
        )
        self.poller = AnswerPoller(
            self.outside,
            self.queue,
            self.cases,
            polling,
            self.clock,
            timedelta(days=settings.answers.watch_days),
        )
        self.flows: dict[str, Flow] = {
            flow.queue: flow
            for flow in (
                RequestFlow(self.institutions, self.outside, self.cases, settings.answers.deadline_days),
                AnswerFlow(self.institutions, self.outside, self.cases),
            )
        }
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
            [OutcomeIndex(self.clock)] if self._laas else [],
            self.clock,
            settings.lease,
        )
        self._log_index = LogIndexEffects(self._laas)
        self.relay = Relay(
            OwedEffects(self.database, self.clock),
            {ALERT: AlertEffects(self.alerts), LOG_INDEX: self._log_index},
            self.alerts,
            Blacklist(self.database),
            self._slack,
            self.clock,
            timedelta(days=laas.give_up_days),
            hold=self.settings.lease,
            retry=timedelta(seconds=self.settings.queue.retry_base_seconds),
        )
        self.status = StatusReader(self.database, self.cases, self.pauses, self.alerts, self.clock)
        self.accounting = Accounting(self.database, self.cases, self.clock, settings.lease)
        self.roads = RoadFinder(self.database, self.cases, self.audit)
        self.dead_letters = DeadLetters(self.database, self.queue, self.cases, self.audit, self.clock)
        self.retention = Retention(self.database, self.audit, self.clock, settings.retention)
        self.synchronisation = Synchronisation(self.database, self.reader, self.poller, self.listener)

    def listener(self, queues: tuple[str, ...] = ()) -> Listener:
        """A listener of this process; it may be run until stopped or until nothing is due."""
        return Listener(
            self.queue,
            Turns(self.queue, self.clock, queues),
            self.worker,
            self.settler,
            self.relay,
            self.pauses,
            self.settings.queue,
            self.trials.run_due,
        )

    def announce(self, listener: Listener) -> None:
        """Tell operators and sensors that a listener is at work."""
        self.database.listeners.update_one(
            {"_id": listener.owner},
            {"$set": {"seenAt": self.clock.now(), "host": socket.gethostname(), "pid": os.getpid()}},
            upsert=True,
        )

    def retire(self, listener: Listener) -> None:
        self.database.listeners.delete_one({"_id": listener.owner})

    def close(self) -> None:
        self._log_index.close()
        for client in (self._slack, self._laas):
            if client is not None:
                client.close()
        self.outside.close()
        self.database.close()
