"""One entry of the audit log: the fields of contract 2.2, plus where in the road of its case it belongs.

It may hold personal data (`kandidatnr`, `personlopenr`): MongoDB is inside the fence. What
leaves for LaaS is not an entry but an outcome (`messaging.listener.worker`).
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

PERSONAL_FIELDS: Final = frozenset({"kandidatnr", "personlopenr", "userCandidateId"})

NO_FIELDS: Final[dict[str, Any]] = {
    "instance": None,
    "kafkaOffset": None,
    "kandidatnr": None,
    "klagestatus": None,
    "personlopenr": None,
    "testId": None,
    "userCandidateId": None,
    "vurdId": None,
}
"""The fields of contract 2.2 that only some submodules know."""


@dataclass(frozen=True)
class AuditEntry:
    """`id` is derived from what it tells of, so that telling it twice leaves one entry."""

    id: str
    time: datetime
    correlation_id: str
    org_id: str
    env: str
    exam_system: str
    submodule: str
    step: str
    success: bool
    error_message: str | None = None
    code: str | None = None
    duration_ms: int | None = None
    attempt: int | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {
            "_id": self.id,
            "time": self.time,
            "correlationId": self.correlation_id,
            "orgId": self.org_id,
            "env": self.env,
            "examSys": self.exam_system,
            "submodule": self.submodule,
            "step": self.step,
            "success": self.success,
            "errorMessage": self.error_message,
            "code": self.code,
            "durationMs": self.duration_ms,
            "attempt": self.attempt,
            **NO_FIELDS,
            **self.fields,
            "detail": self.detail,
        }
