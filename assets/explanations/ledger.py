"""The ledger of one institution and month: it compares the requests in FS with what became of them.

It follows each request by its case. So these never look like a loss: a row that FS sends twice, a corrected date, and what a
listener does meanwhile. A real loss is found again each time the month is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from casebridge.exams.explanations.case_state import OPEN, CaseState
from casebridge.exams.explanations.request_reader import Window
from casebridge.institutions.institution import Institution
from casebridge.sources.polling import PollOutcome
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process

REGISTERED = (CaseState.REGISTERED.value, CaseState.SHOWN.value)
SET_ASIDE = "set_aside"


@dataclass(frozen=True)
class Ledger:
    """Requests that were made in the month. `fs_…` is counted in FS, the rest in the cases of these requests."""

    fs_open: int
    fs_finished: int
    accepted_now: int
    """Messages that this reading added, because sensors and reconciliations had missed them."""
    unreadable: int
    """Rows of FS with errors. They are counted for any month, because the month itself may be wrong. Each is set aside."""
    exams_left: int
    """Exams that FS refused, or that there was no time for. Each gets a message of its own; its rows are not counted here."""
    registered: int
    registered_meanwhile: int
    """Requests that FS still showed as open when it was read, although casebridge has registered them, then or before."""
    pending: int
    withdrawn: int
    set_aside: int
    lost: int
    """Requests that are open in FS but have no case that is open, set aside or registered. Must be 0."""

    @property
    def fs_total(self) -> int:
        return self.fs_open + self.fs_finished

    @property
    def finished_elsewhere(self) -> int:
        """Requests that people finished in FS before casebridge saw them. They are no loss."""
        return max(0, self.fs_finished - self.registered - self.withdrawn)


def draw_up(outcomes: Sequence[PollOutcome], states: Mapping[str, str]) -> Ledger:
    """The ledger of one reading of FS, for all exam systems of an institution.

    `states` has the state of each row's case, by correlation id (`states_of`).
    """
    open_states = [states.get(key) for outcome in outcomes for key in outcome.open_cases]
    finished_states = [states.get(key) for outcome in outcomes for key in outcome.finished_cases]
    found_states = [state for state in open_states if state in (*OPEN, SET_ASIDE, *REGISTERED)]

    def counted(name: str) -> int:
        return sum(outcome.counts.get(name, 0) for outcome in outcomes)

    return Ledger(
        fs_open=counted("open"),
        fs_finished=counted("finished"),
        accepted_now=sum(len(outcome.accepted) for outcome in outcomes),
        unreadable=counted("unreadable"),
        exams_left=counted("exams_left"),
        registered=sum(state in REGISTERED for state in finished_states),
        registered_meanwhile=sum(state in REGISTERED for state in open_states),
        pending=sum(state in OPEN for state in open_states),
        withdrawn=sum(state == CaseState.WITHDRAWN for state in finished_states),
        set_aside=sum(state == SET_ASIDE for state in open_states),
        lost=max(0, counted("open") - len(found_states)),
    )


def read_ledger(
    process: Process, institutions: Sequence[Institution], window: Window
) -> tuple[Sequence[PollOutcome], Ledger]:
    """Read FS for the window, accept what was missed, and make the ledger of one institution for all its exam systems."""
    explanations = process.capability(Explanations)
    outcomes = explanations.reader.read_window(institutions, window)
    keys = [key for outcome in outcomes for key in (*outcome.open_cases, *outcome.finished_cases)]
    return outcomes, draw_up(outcomes, explanations.cases.states_of(keys))
