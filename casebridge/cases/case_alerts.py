"""Alerts that name cases, each case once. They report what the comparison of our cases with other systems found."""

from collections.abc import Mapping
from typing import Protocol

from casebridge.alerts.alert import Alert


class CaseOwner(Protocol):
    """The institution that the cases belong to, with the fields that an alert needs."""

    @property
    def key(self) -> str: ...

    @property
    def org_id(self) -> str: ...

    @property
    def exam_system(self) -> str: ...


def case_alert(
    institution: CaseOwner, submodule: str, code: str, cause: str, next_action: str, cases: Mapping[str, str]
) -> Alert:
    """One alert for all these cases of an institution.

    `cases` has correlation ids, the most urgent first, each with a note or an empty text. The cases are listed nowhere else. So
    each is named, in a further message if they do not fit into the first.
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
