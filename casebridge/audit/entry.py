"""One entry of the audit log: what was done for a case, at which step, with what outcome.

`fields` are those of the capability, such as an exam's number: the flow says which (`Flow.audit_fields`). They may hold personal
data, which may stand in MongoDB. What leaves for LaaS is not an entry but an outcome (`messaging.outbox.outcome_index`).
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from casebridge.tenant import NO_EXAM_SYSTEM


@dataclass(frozen=True)
class AuditEntry:
    """`id` is derived from what the entry is about, so that writing it twice leaves one entry."""

    id: str
    time: datetime
    correlation_id: str
    org_id: str
    env: str
    submodule: str
    step: str
    success: bool
    exam_system: str = NO_EXAM_SYSTEM
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
            **self.fields,
            "detail": self.detail,
        }
