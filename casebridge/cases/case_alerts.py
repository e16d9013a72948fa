"""Alerts that name cases, each case once: what comes to light when our cases are compared with the systems outside."""

from collections.abc import Mapping
from typing import Protocol

from casebridge.alerts.alert import Alert


class CaseOwner(Protocol):
    """The institution that the cases belong to, as far as an alert names it."""

    @property
    def key(self) -> str: ...

    @property
    def org_id(self) -> str: ...

    @property
    def exam_system(self) -> str: ...


def case_alert(
    institution: CaseOwner, submodule: str, code: str, cause: str, next_action: str, cases: Mapping[str, str]
) -> Alert:
    """`cases` are correlation ids, the most urgent first, each with a note or an empty text.

    One alert for the institution. Nothing else lists these cases, so each is named, in the next message if not in the first.
    """
    return Alert(
        institution=institution.key,
        org_id=institution.org_id,
        submodule=submodule,
        step="compare",
        code=code,
        cause=cause,
        next_action=next_action,
        correlation_id=next(iter(cases), None),
        exam_system=institution.exam_system,
        cases=cases,
    )
