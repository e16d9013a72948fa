"""The ledger of one institution and month: what FS holds against what became of it.

It follows each request by its case: rows that FS sends twice, a corrected date and what a listener does meanwhile cannot look
like a loss, and a real loss is still there when it is read again.
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
    """Requests asked for in the month. `fs_…` is counted in FS, the rest in the cases of these requests."""

    fs_open: int
    fs_finished: int
    accepted_now: int
    """Messages that this reading added: what sensors and reconciliations had missed."""
    unreadable: int
    """Rows that FS misstates, of any month, since their month may be what is wrong; each is set aside, in sight."""
    exams_left: int
    """Exams that FS refused or had no time for; each is a message of its own, and its rows are not counted here."""
    registered: int
    registered_meanwhile: int
    """Open in FS as it was read, and registered there by us, just then or before."""
    pending: int
    withdrawn: int
    set_aside: int
    lost: int
    """Requests that are open in FS and that no case carries, waits with or has brought to its end. Must be 0."""

    @property
    def fs_total(self) -> int:
        return self.fs_open + self.fs_finished

    @property
    def finished_elsewhere(self) -> int:
        """Finished in FS by hand before casebridge ever saw them: history, not loss."""
        return max(0, self.fs_finished - self.registered - self.withdrawn)


def draw_up(outcomes: Sequence[PollOutcome], states: Mapping[str, str]) -> Ledger:
    """The account of one reading of FS, for all exam systems of an institution.

    `states` are those of the cases of its rows, by correlation id (`states_of`).
    """
    carried = [states.get(key) for outcome in outcomes for key in outcome.open_cases]
    finished = [states.get(key) for outcome in outcomes for key in outcome.finished_cases]
    held = [state for state in carried if state in (*OPEN, SET_ASIDE, *REGISTERED)]

    def counted(name: str) -> int:
        return sum(outcome.counts.get(name, 0) for outcome in outcomes)

    return Ledger(
        fs_open=counted("open"),
        fs_finished=counted("finished"),
        accepted_now=sum(len(outcome.accepted) for outcome in outcomes),
        unreadable=counted("unreadable"),
        exams_left=counted("exams_left"),
        registered=sum(state in REGISTERED for state in finished),
        registered_meanwhile=sum(state in REGISTERED for state in carried),
        pending=sum(state in OPEN for state in carried),
        withdrawn=sum(state == CaseState.WITHDRAWN for state in finished),
        set_aside=sum(state == SET_ASIDE for state in carried),
        lost=max(0, counted("open") - len(held)),
    )


def read_ledger(
    process: Process, institutions: Sequence[Institution], window: Window
) -> tuple[Sequence[PollOutcome], Ledger]:
    """Read FS for the window, accept what was missed, and draw up the account of one institution on all its exam systems."""
    explanations = process.capability(Explanations)
    outcomes = explanations.reader.read_window(institutions, window)
    keys = [key for outcome in outcomes for key in (*outcome.open_cases, *outcome.finished_cases)]
    return outcomes, draw_up(outcomes, explanations.cases.states_of(keys))
