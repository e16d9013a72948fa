"""Run it again: dead or failed messages by filter, with a dry run first. Only what was not done is done."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from casebridge.audit.entry import AuditEntry
from casebridge.audit.log import AuditLog
from casebridge.clock import Clock
from casebridge.database import Document
from casebridge.messaging.meldingq import MeldingQ
from casebridge.messaging.message import MessageStatus


@dataclass(frozen=True)
class ReplayFilter:
    """Which messages: an absent field means any. `status` is `dead` unless said otherwise."""

    status: MessageStatus = MessageStatus.DEAD
    institution: str | None = None
    queue: str | None = None
    code: str | None = None
    correlation_id: str | None = None

    def selection(self) -> Document:
        wanted: Document = {"status": self.status.value}
        for name, value in (
            ("institution", self.institution),
            ("queue", self.queue),
            ("correlationId", self.correlation_id),
        ):
            if value:
                wanted[name] = value
        return wanted

    def wants(self, message: Document) -> bool:
        """The last error decides: an earlier one has been overtaken."""
        errors = message.get("errors") or [{}]
        return self.code is None or errors[-1].get("code") == self.code


@dataclass(frozen=True)
class ReplayReport:
    """What was found and what was begun anew; with a dry run nothing is."""

    found: int
    replayed: int
    dry_run: bool
    by_code: dict[str, int]
    correlation_ids: list[str]

    def plain(self) -> dict[str, Any]:
        return asdict(self)


class Replayer:
    """Every replay is audited, with who asked and why, before it takes effect."""

    def __init__(self, queue: MeldingQ, audit: AuditLog, clock: Clock) -> None:
        self._queue = queue
        self._audit = audit
        self._clock = clock

    def replay(self, wanted: ReplayFilter, *, dry_run: bool, limit: int, reason: str, asked_by: str) -> ReplayReport:
        """Oldest first, at most `limit`. Safe to repeat: what was replayed is no longer dead."""
        if wanted.status not in (MessageStatus.DEAD, MessageStatus.FAILED):
            raise ValueError("only dead or failed messages can be replayed; the others go on by themselves")
        found = [message for message in self._queue.find(wanted.selection()) if wanted.wants(message)][:limit]
        replayed = 0
        if not dry_run and found:
            self._audit.add([self._entry(message, reason, asked_by) for message in found])
            replayed = self._queue.replay([message["_id"] for message in found], reason=reason, asked_by=asked_by)
        codes = Counter((message.get("errors") or [{}])[-1].get("code", "unknown") for message in found)
        return ReplayReport(
            found=len(found),
            replayed=replayed,
            dry_run=dry_run,
            by_code=dict(codes),
            correlation_ids=[message["correlationId"] for message in found[:20]],
        )

    def _entry(self, message: Document, reason: str, asked_by: str) -> AuditEntry:
        return AuditEntry(
            id=f"{message['_id']}:{message.get('generation', 1)}:replayed",
            time=self._clock.now(),
            correlation_id=message["correlationId"],
            org_id=message["orgId"],
            env=message["env"],
            exam_system=message["examSystem"],
            submodule=message["queue"],
            step="replayed",
            success=True,
            detail={"reason": reason, "askedBy": asked_by},
        )
