"""The messages of the queue of exams: for an exam that a poll could not read, and for an unreadable line of FS's list.

So a failed exam does not stop the others. Its message waits, is retried and is set aside like any other message.
"""

from datetime import datetime
from typing import Final

from casebridge.correlation_id import new_correlation_id
from casebridge.exams.fs_rows import canonical, clipped, unreadable
from casebridge.exams.models import UnreadableLine
from casebridge.fingerprint import short_hash
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.message import NewMessage

QUEUE: Final = "fs-begrunnelse"


def exam_message(institution: Institution, vurd_id: str, changed_at: datetime | None, now: datetime) -> NewMessage:
    """The message that reads one exam by itself. There is one for each change; without a date from FS, one for each day."""
    of_exam = short_hash(QUEUE, institution.key, institution.exam_system, canonical(vurd_id))
    change = changed_at.isoformat() if changed_at else now.date().isoformat()
    return _message(institution, short_hash(of_exam, change), of_exam, {"vurdId": vurd_id}, now)


def line_message(institution: Institution, line: UnreadableLine, now: datetime) -> NewMessage:
    """The message for an unreadable line of the list. The same line has only one."""
    row = unreadable(line.line, line.fault)
    key = short_hash(QUEUE, institution.key, institution.exam_system, row.identity)
    return _message(institution, key, key, {"unreadable": clipped(line.line), "fault": line.fault}, now)


def _message(
    institution: Institution, key: str, ordering_key: str, payload: dict[str, str], now: datetime
) -> NewMessage:
    return NewMessage(
        key=key,
        queue=QUEUE,
        org_id=institution.org_id,
        env=institution.env,
        exam_system=institution.exam_system,
        ordering_key=ordering_key,
        correlation_id=new_correlation_id(now),
        payload=payload,
    )
