"""Requests that FS shows as open although we registered their answers: registered anew, once for each registration.

FS may have said yes and not kept it, or an officer has opened the request again. Either way the answer that is there is what FS
lacks. If FS shows the request as open after that, too, the message is set aside and people are told.
"""

from collections.abc import Sequence
from dataclasses import replace

from casebridge.exams import answer_poller
from casebridge.exams.cases import Case
from casebridge.exams.institution import Institution
from casebridge.fingerprint import short_hash
from casebridge.messaging.message import NewMessage


def reopened_messages(institution: Institution, cases: Sequence[Case]) -> list[NewMessage]:
    """A message for each case that has an explanation request to fetch the answer from."""
    return [_message(institution, case) for case in cases if case.explanation_request_id is not None]


def _message(institution: Institution, case: Case) -> NewMessage:
    message = answer_poller.answer_message(institution, case, None)
    key = short_hash(answer_poller.QUEUE, case.id, "reopened", case.document["registeredAt"].isoformat())
    return replace(message, key=key, payload={**message.payload, "repairs": True, "reopened": True})
