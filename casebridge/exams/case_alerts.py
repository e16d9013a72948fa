"""Alerts that name cases, each once: what a comparison of our cases with the world has brought to light."""

from collections.abc import Mapping, Sequence
from typing import Final

from casebridge.alerts.alert import Alert
from casebridge.exams.institution import Institution

NAMED: Final = 10


def case_alert(
    institution: Institution, submodule: str, code: str, cause: str, next_action: str, cases: Mapping[str, str]
) -> Alert:
    """`cases` are correlation ids, the most urgent first, each with a word on it or none; they end the sentence `cause`."""
    first: Sequence[str] = list(cases)
    shown = ", ".join(f"{key} ({cases[key]})" if cases[key] else key for key in first[:NAMED])
    more = f" and {len(first) - NAMED} more" if len(first) > NAMED else ""
    return Alert(
        institution=institution.key,
        org_id=institution.org_id,
        submodule=submodule,
        step="compare",
        code=code,
        cause=f"{cause}, of {len(first)} cases: {shown}{more}.",
        next_action=next_action,
        correlation_id=first[0],
        about=f"{len(first)} cases, of which {first[0]} comes first",
    )
