"""A process with its parts by short names."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from casebridge.institutions.institution import Institution
from casebridge.operators.synchronisation import PollReport, Synchronisation
from casebridge.sources.source import Awaited, PollRange
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process

STORES = ("database", "clock", "served", "institutions", "names", "audit", "alerts", "pauses", "queue")
OPERATORS = ("status", "rekeying", "completeness", "histories", "dead_letters", "retention")
EXPLANATIONS = ("cases", "watermarks", "reader", "poller")


class Rounds(Synchronisation):
    """For tests."""

    process: "Bridge"

    def read_requests(
        self,
        institutions: Sequence[Institution],
        *,
        reach_back: timedelta | None = None,
        budget_seconds: float | None = None,
    ) -> PollReport:
        what = PollRange(reach_back, budget_seconds=budget_seconds)
        return PollReport.of(self.process.capability(Explanations).requests.poll(institutions, what))

    def poll_answers(
        self, institutions: Sequence[Institution], *, also_answered: bool = False, budget_seconds: float | None = None
    ) -> PollReport:
        what = PollRange(None, also_answered, budget_seconds)
        return PollReport.of(self.process.capability(Explanations).answers.poll(institutions, what))

    def wait_for_dispatch(self, correlation_ids: Sequence[str], seconds: float) -> Awaited:
        return self.wait_for(self.process.capability(Explanations).requests, correlation_ids, seconds)


class Bridge(Process):
    """For tests."""

    @property
    def synchronisation(self) -> Rounds:
        made = Rounds(self.listener)
        made.process = self
        return made

    @synchronisation.setter
    def synchronisation(self, _value: Synchronisation) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name in STORES:
            return getattr(self.stores, name)
        if name in OPERATORS:
            return getattr(self.operators, name)
        if name in EXPLANATIONS:
            return getattr(self.capability(Explanations), name)
        if name == "probes":
            return self.platform.probes
        if name == "records":
            return self.kafka.records
        raise AttributeError(name)
