"""Alerts that name cases, each once: what a comparison of our cases with the world has brought to light."""

from collections.abc import Mapping

from casebridge.alerts.alert import Alert
from casebridge.institutions.former_institution import Owner


def case_alert(
    institution: Owner, submodule: str, code: str, cause: str, next_action: str, cases: Mapping[str, str]
) -> Alert:
    """`cases` are correlation ids, the most urgent first, each with a word on it or none.

    One alert for the institution: nothing else lists these cases, so each is named, in the next message if not in the first.
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
