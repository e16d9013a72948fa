"""What an alert says: ids, the step, the cause and the next action; never personal data."""

from dataclasses import dataclass
from typing import Any

from casebridge.fingerprint import short_hash


@dataclass(frozen=True)
class Alert:
    """Alerts with the same institution, submodule and code are one alert that names several cases."""

    institution: str
    org_id: str
    submodule: str
    step: str
    code: str
    cause: str
    next_action: str
    correlation_id: str | None = None

    @property
    def fingerprint(self) -> str:
        return short_hash(self.institution, self.submodule, self.code)

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
        )
