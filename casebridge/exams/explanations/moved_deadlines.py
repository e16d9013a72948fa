"""Alerts about deadlines that FS has moved after the assessor was asked: WISEflow takes no new one (contract 4.9)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from casebridge.alerts.alert import Alert
from casebridge.alerts.outbox import AlertOutbox
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.case_advance import CaseAdvance
from casebridge.exams.explanations.cases import Cases

SUBMODULE: Final = "deadlines"


class MovedDeadlines:
    """Call it before the cases are advanced: it compares with the deadline that they still have. Calling it twice is harmless."""

    def __init__(self, cases: Cases, alerts: AlertOutbox) -> None:
        self._cases = cases
        self._alerts = alerts

    def alert(self, repeated: Sequence[CaseAdvance]) -> None:
        """`repeated` are the advances of cases whose request was in the exam system already."""
        if not repeated:
            return
        cases = {case.id: case for case in self._cases.by_ids([advance.case_id for advance in repeated])}
        moved: dict[tuple[str, Any, Any], dict[str, str]] = defaultdict(dict)
        for advance in repeated:
            case, deadline = cases.get(advance.case_id), advance.values["deadline"]
            if case is not None and _known_deadline(case) not in (None, deadline):
                owner = case.institution, case.document.get("orgId"), case.document.get("examSystem")
                moved[owner][case.correlation_id] = _note(deadline)
        for owner, named in moved.items():
            self._alerts.enqueue(_alert(*owner, named))


def _known_deadline(case: Case) -> Any:
    """The deadline that the assessor knows; `None` if nobody was asked."""
    return case.document.get("deadline") if case.explanation_request_id is not None else None


def _note(deadline: datetime) -> str:
    return f"now {deadline.date().isoformat()}"


def _alert(institution: str, org_id: str, exam_system: str, named: Mapping[str, str]) -> Alert:
    """One alert for all new deadlines of the institution. So the latest deadline of a case is also named last."""
    return Alert(
        institution=institution,
        org_id=org_id,
        submodule=SUBMODULE,
        step="request_explanation",
        code="case.deadline_moved",
        cause="FS has moved the deadlines of explanations after the assessor was asked; the exam system shows the earlier ones.",
        next_action="Let the assessor know the new deadline of each case that is named here: the exam system cannot be told.",
        correlation_id=next(iter(named), None),
        exam_system=exam_system,
        cases=named,
    )
