"""Tells people of deadlines that FS has moved after the assessor was asked: WISEflow takes no new one (contract 4.9)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from casebridge.alerts.alert import Alert
from casebridge.alerts.outbox import AlertOutbox
from casebridge.exams.case_advance import CaseAdvance
from casebridge.exams.cases import Case, Cases

SUBMODULE: Final = "deadlines"


class MovedDeadlines:
    """Called before the cases are moved on: it compares with the deadline that they have still. Right when applied twice."""

    def __init__(self, cases: Cases, alerts: AlertOutbox) -> None:
        self._cases = cases
        self._alerts = alerts

    def tell(self, repeated: Sequence[CaseAdvance]) -> None:
        """`repeated` is what becomes of cases whose request was in the exam system already."""
        if not repeated:
            return
        cases = {case.id: case for case in self._cases.by_ids([advance.case_id for advance in repeated])}
        for advance in repeated:
            case, deadline = cases.get(advance.case_id), advance.values["deadline"]
            if case is not None and _was_told(case) not in (None, deadline):
                self._alerts.owe(_alert(case, deadline))


def _was_told(case: Case) -> Any:
    """The deadline with which the assessor was asked; `None` if nobody was."""
    return case.document.get("deadline") if case.explanation_request_id is not None else None


def _alert(case: Case, deadline: datetime) -> Alert:
    document = case.document
    return Alert(
        institution=case.institution,
        org_id=document["orgId"],
        submodule=SUBMODULE,
        step="request_explanation",
        code="case.deadline_moved",
        cause=f"FS has moved the deadline of an explanation to {deadline.date().isoformat()} after the assessor was asked; the "
        "exam system shows the earlier one.",
        next_action="Let the assessor know the new deadline of each case that is named here: the exam system cannot be told.",
        correlation_id=case.correlation_id,
        exam_system=document["examSystem"],
        # Of each day by itself: what FS moves to one day is one alert.
        about=deadline.date().isoformat(),
    )
