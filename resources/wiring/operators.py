"""What answers operators' questions, built over all capabilities of a process."""

from collections.abc import Sequence

from casebridge.capability import Capability
from casebridge.operators.case_history import CaseHistoryReader
from casebridge.operators.completeness_check import CompletenessCheck
from casebridge.operators.dead_letters import DeadLetters
from casebridge.operators.rekeying import Rekeying
from casebridge.operators.retention import Retention
from casebridge.operators.status import StatusReader
from casebridge.operators.totals import Totals
from casebridge.settings import Settings
from resources.wiring.explanations import Explanations
from resources.wiring.stores import Stores


class Operators:
    """One object for each question or intervention."""

    def __init__(self, settings: Settings, stores: Stores, capabilities: Sequence[Capability]) -> None:
        database, queue, clock, names = stores.database, stores.queue, stores.clock, stores.names
        cases = next(one.cases for one in capabilities if isinstance(one, Explanations))
        self.status = StatusReader(
            database,
            capabilities,
            stores.pauses,
            stores.alerts,
            clock,
            stores.institutions.problems,
            names,
        )
        self.totals = Totals(stores.audit, capabilities)
        self.rekeying = Rekeying(database, queue.lanes)
        self.completeness = CompletenessCheck(database, cases, clock, settings.lease)
        self.histories = CaseHistoryReader(database, cases, stores.audit, names)
        self.dead_letters = DeadLetters(database, queue, cases, stores.audit, clock, stores.served, names)
        self.retention = Retention(
            database, stores.audit, clock, settings.retention, queue.move_discarded, stores.served
        )
