"""The stores of one process. All use the same database; each belongs to one package of the engine."""

from collections.abc import Set as AbstractSet
from datetime import timedelta

from casebridge.alerts.blacklist import Blacklist
from casebridge.alerts.outbox import AlertOutbox
from casebridge.audit.log import AuditLog
from casebridge.clock import Clock, ServerClock
from casebridge.database import Database
from casebridge.institutions.pauses import Pauses
from casebridge.institutions.register import InstitutionRegister
from casebridge.messaging.outbox.pending_effects import PendingEffectStore
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.rates.share_keeper import ShareKeeper
from casebridge.rates.share_store import ShareStore
from casebridge.safe_names import SafeNames
from casebridge.served_environment import ServedEnvironment
from casebridge.settings import KafkaSettings, Settings
from resources.wiring.clients import EXAM_SYSTEMS


class Stores:
    """The stores that every capability may use. Building it connects to nothing; close it when done."""

    def __init__(self, settings: Settings, submodules: AbstractSet[str], clock: Clock | None = None) -> None:
        """`submodules` are the names under which capabilities write audit entries and alerts. The set may be filled later."""
        self.database = Database(settings.mongodb)
        self.clock = clock or ServerClock(self.database.server_time)
        self.served = ServedEnvironment.of(settings.environment)
        self.institutions = InstitutionRegister(self.database, self.served, EXAM_SYSTEMS)
        self.names = SafeNames(self.institutions.names, submodules, _topics(settings.kafka))
        self.audit = AuditLog(self.database)
        self.alerts = AlertOutbox(
            self.database, self.clock, timedelta(minutes=settings.slack.fold_minutes), self.served, self.names
        )
        self.pauses = Pauses(self.database, self.clock, settings.queue, self.served)
        self.queue = MeldingQ(self.database, self.clock, settings.lease, self.served)
        self.pending_effects = PendingEffectStore(self.database, self.clock, self.served)
        self.blacklist = Blacklist(self.database)
        self.rate_shares = ShareKeeper(ShareStore(self.database), settings.rates.lease_seconds)

    def close(self) -> None:
        self.database.close()


def _topics(settings: KafkaSettings) -> frozenset[str]:
    return frozenset(str(value) for name, value in settings if name.endswith("_topic"))
