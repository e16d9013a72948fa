"""Requests that FS shows as open although we registered their answers: registered anew, once for each registration.

FS may have said yes and not kept it, or an officer has opened the request again. Either way the answer that is there is what FS
lacks. If FS shows the request as open after that, too, the message is set aside and people are told. They are told also when a
request is open once more later on: FS may lose each registration, or somebody may open it on purpose.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from casebridge.alerts.outbox import AlertOutbox
from casebridge.exams import answer_poller
from casebridge.exams.case_alerts import case_alert
from casebridge.exams.cases import Case, Cases
from casebridge.exams.exam_intake import SUBMODULE
from casebridge.exams.institution import Institution
from casebridge.fingerprint import short_hash
from casebridge.messaging.message import NewMessage

SEEN: Final = "openAgainAt"
"""When the case was last seen open again, in the case."""


class Reopenings:
    """Safe side by side with itself: at worst people are told twice."""

    def __init__(self, cases: Cases, alerts: AlertOutbox) -> None:
        self._cases = cases
        self._alerts = alerts

    def take(self, institution: Institution, cases: Sequence[Case]) -> list[NewMessage]:
        """A message for each case that has an explanation request to fetch the answer from."""
        if once_more := sorted(case.correlation_id for case in cases if _was_registered_since(case)):
            self._alerts.owe(
                case_alert(
                    institution,
                    SUBMODULE,
                    "case.open_once_more",
                    "FS shows requests as open once more that were open before and registered anew",
                    "Ask the institution whether somebody opens them on purpose, and the FS team why they do not stay "
                    "finished if nobody does; the answers are registered anew meanwhile.",
                    dict.fromkeys(once_more, ""),
                )
            )
        self._cases.note_told([case.id for case in cases if not _is_seen(case)], SEEN)
        return _messages(institution, cases)


def _is_seen(case: Case) -> bool:
    """Whether it was seen open since its last registration."""
    seen = case.document.get(SEEN)
    return seen is not None and seen >= case.document["registeredAt"]


def _was_registered_since(case: Case) -> bool:
    """Whether it was open before, and has been registered since."""
    return case.document.get(SEEN) is not None and not _is_seen(case)


def _messages(institution: Institution, cases: Sequence[Case]) -> list[NewMessage]:
    return [_message(institution, case) for case in cases if case.explanation_request_id is not None]


def _message(institution: Institution, case: Case) -> NewMessage:
    message = answer_poller.answer_message(institution, case, None)
    changes = answer_poller.changes_of(case)
    key = short_hash(answer_poller.QUEUE, case.id, "reopened", case.document["registeredAt"].isoformat(), *changes)
    # It registers what FS had, as far as anybody has seen.
    version = answer_poller.registered_version(case)
    return replace(message, key=key, payload={**message.payload, "version": version, "repairs": True, "reopened": True})
