"""Requests that FS shows as open although we registered their answers. They are registered again, once for each registration.

FS may have lost the registration, or an officer may have opened the request again. In both cases FS needs the answer that we
have. If FS still shows the request as open after that, the message is set aside and people are alerted. People are also alerted
if the request is open once more later: FS may lose each registration, or somebody may open the request on purpose.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from casebridge.alerts.outbox import AlertOutbox
from casebridge.cases.case_alerts import case_alert
from casebridge.database import Document
from casebridge.exams.explanations import answer_poller
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.exam_intake import SUBMODULE
from casebridge.exams.explanations.unreadable_cases import UnreadableCases
from casebridge.fingerprint import short_hash
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.message import NewMessage
from casebridge.readable_documents import check_kinds

SEEN: Final = "openAgainAt"
"""The field of a case with the time when it was last seen open again."""


@dataclass(frozen=True)
class _Reopened:
    """A registered case with the fields that are needed here."""

    case: Case
    registered_at: datetime
    seen_at: datetime | None

    @classmethod
    def from_document(cls, document: Document) -> "_Reopened":
        """Raises if a field is absent or has the wrong type."""
        check_kinds(document, {"registeredAt": datetime})
        if document.get(SEEN) is not None:
            check_kinds(document, {SEEN: datetime})
        if document.get("explanationRequestId") is not None:
            answer_poller.check_needed(document)
        return cls(Case.from_document(document), document["registeredAt"], document.get(SEEN))

    @property
    def is_seen(self) -> bool:
        """Whether it was seen open since its last registration."""
        return self.seen_at is not None and self.seen_at >= self.registered_at

    @property
    def is_once_more(self) -> bool:
        """Whether it was open before, and has been registered since."""
        return self.seen_at is not None and not self.is_seen


class Reopenings:
    """Several may run at once: at worst people are alerted twice."""

    def __init__(self, cases: Cases, alerts: AlertOutbox) -> None:
        self._cases = cases
        self._alerts = alerts
        self._unreadable_cases = UnreadableCases(alerts, SUBMODULE)

    def take(self, institution: Institution, cases: Sequence[Case]) -> list[NewMessage]:
        """One message for each case that has an explanation request, from which the answer is fetched.

        Cases that cannot be read are skipped, and an alert names them.
        """
        documents = [case.document for case in cases]
        found = self._unreadable_cases.pass_over(institution, documents, _Reopened.from_document)
        if once_more := {one.case.correlation_id: _registration(one) for one in found if one.is_once_more}:
            self._alerts.enqueue(
                case_alert(
                    institution,
                    SUBMODULE,
                    "case.open_once_more",
                    "FS shows requests as open again. They were open before, and their explanations have been registered since.",
                    "Ask the institution whether somebody opens them on purpose. If nobody does, ask the FS team why they do "
                    "not stay finished. Meanwhile the explanations are registered again each time.",
                    dict(sorted(once_more.items())),
                )
            )
        self._cases.mark_now([one.case.id for one in found if not one.is_seen], SEEN)
        return [_message(institution, one) for one in found if one.case.explanation_request_id is not None]


def _registration(reopened: _Reopened) -> str:
    """A note that differs for each registration that FS does not show any more."""
    return f"registered {reopened.registered_at:%Y-%m-%d %H:%M:%S}"


def _message(institution: Institution, reopened: _Reopened) -> NewMessage:
    case = reopened.case
    message = answer_poller.answer_message(institution, case, None)
    changes = answer_poller.changes_of(case)
    key = short_hash(answer_poller.QUEUE, case.id, "reopened", reopened.registered_at.isoformat(), *changes)
    # The message registers the version that FS had, as far as we know.
    version = answer_poller.registered_version(case)
    return replace(message, key=key, payload={**message.payload, "version": version, "repairs": True, "reopened": True})
