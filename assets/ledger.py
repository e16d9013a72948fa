"""The ledger of one institution and month: what FS holds against what became of it.

Cases move on while FS is read, so the account is drawn up to be right at any moment: nothing that a listener does
meanwhile can look like a loss, and a real loss is still there when it is read again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from casebridge.exams.case_state import CaseState
from casebridge.exams.institution import Institution
from casebridge.exams.polling import PollOutcome
from casebridge.exams.request_reader import Window
from resources.bridge import Bridge

REGISTERED = (CaseState.REGISTERED, CaseState.SHOWN)
PENDING = (CaseState.REQUESTED, CaseState.DISPATCHED)


@dataclass(frozen=True)
class Ledger:
    """Requests asked for in the month. `fs_…` is counted in FS, the rest in our cases."""

    fs_open: int
    fs_finished: int
    accepted_now: int
    """Messages that this reading added: what sensors and reconciliations had missed."""
    unreadable: int
    """Rows that FS misstates, of any month, since their month may be what is wrong; each is set aside, in sight."""
    registered: int
    registered_meanwhile: int
    pending: int
    withdrawn: int
    set_aside: int

    @property
    def fs_total(self) -> int:
        return self.fs_open + self.fs_finished

    @property
    def finished_elsewhere(self) -> int:
        """Finished in FS by hand before casebridge ever saw them: history, not loss."""
        return max(0, self.fs_finished - self.registered - self.withdrawn)

    @property
    def lost(self) -> int:
        """Requests that are open in FS and that no case carries, waits with or has just brought to its end. Must be 0."""
        return max(0, self.fs_open - self.pending - self.set_aside - self.registered_meanwhile)


def draw_up(outcomes: Sequence[PollOutcome], before: Mapping[str, int], after: Mapping[str, int]) -> Ledger:
    """The account of one reading of FS, for all exam systems of an institution.

    Our cases were counted `before` and `after` it (`Cases.counts_between`).
    """
    registered = _sum(after, REGISTERED)

    def counted(name: str) -> int:
        return sum(outcome.counts.get(name, 0) for outcome in outcomes)

    return Ledger(
        fs_open=counted("open"),
        fs_finished=counted("finished"),
        accepted_now=sum(len(outcome.accepted) for outcome in outcomes),
        unreadable=counted("unreadable"),
        registered=registered,
        registered_meanwhile=max(0, registered - _sum(before, REGISTERED)),
        pending=_sum(after, PENDING),
        withdrawn=after.get(CaseState.WITHDRAWN, 0),
        set_aside=after.get("set_aside", 0),
    )


def read_ledger(
    bridge: Bridge, institutions: Sequence[Institution], window: Window
) -> tuple[Sequence[PollOutcome], Ledger]:
    """Read FS for the window, accept what was missed, and draw up the account of one institution on all its exam systems."""
    (name,) = {institution.key for institution in institutions}
    before = bridge.cases.counts_between(name, window.start, window.end)
    outcomes = bridge.reader.read_window(institutions, window)
    after = bridge.cases.counts_between(name, window.start, window.end)
    return outcomes, draw_up(outcomes, before, after)


def _sum(counts: Mapping[str, int], states: tuple[CaseState, ...]) -> int:
    return sum(counts.get(state, 0) for state in states)
