"""One entry of the audit log: what was done for a case, at which step, with what result.

`fields` are those of the capability, such as an exam's number (`Flow.audit_fields`). They may contain personal data, which may be
stored in MongoDB. LaaS does not get entries, but outcomes (`messaging.outbox.outcome_index`).
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from casebridge.tenant import NO_EXAM_SYSTEM


@dataclass(frozen=True)
class AuditEntry:
    """`id` is derived from the subject of the entry, so writing it twice leaves one entry."""

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
