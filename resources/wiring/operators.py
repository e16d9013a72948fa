"""The objects that answer operators' questions about all capabilities of a process."""

from collections.abc import Sequence

from casebridge.capability import Capability, all_cases, all_queues
from casebridge.messaging.queue.stored_messages import StoredMessages
from casebridge.operators.case_history import CaseHistoryReader
from casebridge.operators.completeness_check import CompletenessCheck
from casebridge.operators.dead_letters import DeadLetters
from casebridge.operators.rekeying import Rekeying
from casebridge.operators.retention import Retention
from casebridge.operators.status import StatusReader
from casebridge.operators.totals import Totals
from casebridge.settings import Settings
from resources.wiring.stores import Stores


class Operators:
    """One object for each question or intervention."""

    def __init__(self, settings: Settings, stores: Stores, capabilities: Sequence[Capability]) -> None:
        self.cases = all_cases(capabilities)
        clock, names = stores.clock, stores.names
        messages = StoredMessages(stores.database, stores.served)
        self.status = StatusReader(
            stores.database, capabilities, stores.pauses, stores.alerts, clock, stores.institutions.problems, names
        )
        self.totals = Totals(stores.audit, capabilities)
        self.rekeying = Rekeying(stores.queue.lanes, messages, self.cases)
        self.completeness = CompletenessCheck(self.cases, messages, clock, settings.lease)
        self.histories = CaseHistoryReader(self.cases, messages, stores.audit, names)
        self.dead_letters = DeadLetters(
            messages,
            stores.queue,
            self.cases,
            stores.audit,
            clock,
            queues=tuple(all_queues(capabilities)),
            institutions=stores.institutions.configured,
            names=names,
        )
        self.retention = Retention(
            stores.database,
            self.cases,
            stores.audit,
            clock,
            settings.retention,
            stores.queue.move_discarded,
            stores.served,
        )
