"""What an alert says: ids, the step, the cause and the next action; never personal data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from casebridge.errors import AuthBrokenError, CaseError
from casebridge.fingerprint import short_hash
from casebridge.tenant import UNKNOWN, tenant_key


@dataclass(frozen=True)
class Alert:
    """Alerts with the same institution, exam system, submodule and code are folded into one that names several cases.

    - With `whole_institution` the submodule does not count: refused credentials are one cause, whichever part meets them first.
    - Cases that were set aside and failures that are tried again make separate alerts: the first asks a person to act.
    """

    institution: str
    org_id: str
    submodule: str
    step: str
    code: str
    cause: str
    next_action: str
    correlation_id: str | None = None
    whole_institution: bool = False
    set_aside: bool = False
    exam_system: str = UNKNOWN
    """The exam system that the alert concerns. `unknown` if it concerns all of the institution's, or none."""
    about: str | None = None
    """The subject of the alert. Alerts with the same code and different subjects are not folded.

    People read it: correlation ids of cases, flows, codes of exams; never personal data.
    """
    cases: Mapping[str, str] | None = None
    """Cases that only this alert lists, the most urgent first, each with a note or an empty text.

    The messages name every one of them, and name it again when its note changes. `None` if the cases can also be listed
    elsewhere; then `correlation_id` is one of them.
    """

    @classmethod
    def of(
        cls,
        error: CaseError,
        *,
        institution: str,
        org_id: str,
        submodule: str,
        step: str,
        correlation_id: str | None = None,
        set_aside: bool = False,
        exam_system: str = UNKNOWN,
        cases: Mapping[str, str] | None = None,
    ) -> "Alert":
        """The alert of an error at a step, of one case or of a poll."""
        return cls(
            institution=institution,
            org_id=org_id,
            submodule=submodule,
            step=step,
            code=error.code,
            cause=error.cause,
            next_action=error.next_action,
            correlation_id=correlation_id,
            whole_institution=isinstance(error, AuthBrokenError),
            set_aside=set_aside,
            exam_system=exam_system,
            cases=cases,
        )

    @property
    def named(self) -> Sequence[str]:
        """The correlation ids of its cases."""
        if self.cases is not None:
            return list(self.cases)
        return [self.correlation_id] if self.correlation_id else []

    @property
    def fingerprint(self) -> str:
        submodule = None if self.whole_institution else self.submodule
        tenant = tenant_key(self.institution, self.exam_system)
        return short_hash(tenant, submodule, self.code, self.set_aside, *([self.about] if self.about else []))

    def body(self) -> dict[str, Any]:
        return {
            "institution": self.institution,
            "orgId": self.org_id,
            "submodule": self.submodule,
            "step": self.step,
            "code": self.code,
            "cause": self.cause,
            "nextAction": self.next_action,
            "correlationId": self.correlation_id,
            "wholeInstitution": self.whole_institution,
            "setAside": self.set_aside,
            "examSystem": self.exam_system,
            **({"about": self.about} if self.about else {}),
            **({"cases": dict(self.cases), "listsCases": True} if self.cases is not None else {}),
        }

    @classmethod
    def from_body(cls, body: dict[str, Any]) -> "Alert":
        return cls(
            institution=body["institution"],
            org_id=body["orgId"],
            submodule=body["submodule"],
            step=body["step"],
            code=body["code"],
            cause=body["cause"],
            next_action=body["nextAction"],
            correlation_id=body.get("correlationId"),
            whole_institution=body.get("wholeInstitution", False),
            set_aside=body.get("setAside", False),
            exam_system=body.get("examSystem", UNKNOWN),
            about=body.get("about"),
            cases=body.get("cases"),
        )
