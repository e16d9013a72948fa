"""Tells people of cases whose answer FS has taken and whose row is no longer there: once each, and anew if it happens again.

Whoever reads a whole exam looks. A row that comes back is open, or finished, like any other row, and dealt with as such.
"""

from collections.abc import Sequence
from typing import Final

from casebridge.alerts.outbox import AlertOutbox
from casebridge.cases.case_alerts import case_alert
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.exam_intake import SUBMODULE
from casebridge.institutions.institution import Institution

TOLD: Final = "rowGoneToldAt"


class RowsGone:
    """Safe side by side with itself: at worst people are told twice."""

    def __init__(self, cases: Cases, alerts: AlertOutbox) -> None:
        self._cases = cases
        self._alerts = alerts

    def compare(self, institution: Institution, gone: Sequence[Case], there: Sequence[Case]) -> None:
        """`gone` are registered cases without a row, `there` those that have one."""
        if news := sorted((case for case in gone if not case.document.get(TOLD)), key=lambda case: case.correlation_id):
            # The alert first: a mark without an alert would be silence.
            self._alerts.enqueue(
                case_alert(
                    institution,
                    SUBMODULE,
                    "case.row_gone",
                    "FS no longer has requests whose explanations were registered.",
                    "Ask the institution whether the rows were removed on purpose. If not, have them entered in FS again: a "
                    "reconciliation registers their explanations anew.",
                    {case.correlation_id: "" for case in news},
                )
            )
            self._cases.mark_now([case.id for case in news], TOLD)
        if back := [case.id for case in there if case.document.get(TOLD)]:
            self._cases.clear_mark(back, TOLD)
