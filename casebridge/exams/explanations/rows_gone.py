"""Alerts about registered cases whose row is gone from FS: once for each case, and again if it happens again.

Every read of a whole exam checks for them. A row that comes back is open or finished, and is handled like any other row.
"""

from collections.abc import Sequence
from typing import Final

from casebridge.alerts.outbox import AlertOutbox
from casebridge.cases.case_alerts import case_alert
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.exam_intake import SUBMODULE
from casebridge.institutions.institution import Institution

ALERTED: Final = "rowGoneToldAt"


class RowsGone:
    """Several may run at once: at worst people are alerted twice."""

    def __init__(self, cases: Cases, alerts: AlertOutbox) -> None:
        self._cases = cases
        self._alerts = alerts

    def compare(self, institution: Institution, gone: Sequence[Case], there: Sequence[Case]) -> None:
        """`gone` are registered cases without a row, `there` those that have one."""
        if news := sorted(
            (case for case in gone if not case.document.get(ALERTED)), key=lambda case: case.correlation_id
        ):
            # The alert first: a mark without an alert would be silence.
            self._alerts.enqueue(
                case_alert(
                    institution,
                    SUBMODULE,
                    "case.row_gone",
                    "FS no longer has requests whose explanations were registered.",
                    "Ask the institution whether the rows were removed on purpose. If not, ask it to enter them in FS again: a "
                    "reconciliation then registers their explanations again.",
                    {case.correlation_id: "" for case in news},
                )
            )
            self._cases.mark_now([case.id for case in news], ALERTED)
        if back := [case.id for case in there if case.document.get(ALERTED)]:
            self._cases.clear_mark(back, ALERTED)
