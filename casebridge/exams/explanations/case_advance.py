"""The changes of state of an explanation case: which fields are written when it is dispatched, registered or shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from casebridge.cases import case_advance
from casebridge.cases.case import NOT_SET_ASIDE
from casebridge.clock import FAR_AHEAD
from casebridge.exams.deadlines import at_midnight
from casebridge.exams.explanations.case_state import CaseState
from casebridge.exams.external_id import stored_id
from casebridge.exams.models import CandidatePlace, ExplanationRequest


@dataclass(frozen=True)
class CaseAdvance(case_advance.CaseAdvance):
    """One change of state of one explanation case."""

    @classmethod
    def dispatched(
        cls,
        case_id: str,
        request: ExplanationRequest,
        candidate: CandidatePlace,
        explanation_request_id: str,
        deadline: date,
        at: datetime,
    ) -> "CaseAdvance":
        """The exam system has the request. After a change in FS this comes again, with the new place and deadline."""
        values = {
            "flowId": stored_id(candidate.flow_id),
            "participantId": stored_id(candidate.participant_id),
            "submissionId": stored_id(candidate.submission_id) if candidate.submission_id is not None else None,
            "explanationRequestId": stored_id(explanation_request_id),
            "kandidatnr": request.kandidatnr,
            "kommisjonsId": request.kommisjons_id,
            "deadline": at_midnight(deadline),
            **NOT_SET_ASIDE,
        }
        return cls(case_id, CaseState.DISPATCHED, {"dispatchedAt": at}, values)

    @classmethod
    def registered(
        cls,
        case_id: str,
        text_hash: str,
        seen_at: datetime,
        given_at: datetime,
        message_key: str,
        at: datetime,
        version: str | None = None,
        registered_for: Mapping[str, str] | None = None,
    ) -> "CaseAdvance":
        """FS has the answer with this fingerprint. We saw the answer at `seen_at`, as this `version` (`answer_poller`).

        `registered_for` is the student's identity in FS at that time (`registered_identity`). Results of earlier releases do not
        have it.

        The write changes nothing if the case already has an answer that was seen later.
        """
        values = {
            "registeredHash": text_hash,
            "registeredBy": message_key,
            "registeredVersion": version,
            "registeredFor": registered_for,
            "answerSeenAt": seen_at,
            "answerGivenAt": given_at,
            "registeredAt": at,
            **NOT_SET_ASIDE,
        }
        # No `$or`, because some servers then read every case. A stored time far in the future is ignored: otherwise no answer
        # would ever be newer.
        not_newer = {"answerSeenAt": {"$not": {"$gt": seen_at, "$lte": at + FAR_AHEAD}}}
        return cls(case_id, CaseState.REGISTERED, values=values, only_if=not_newer)

    @classmethod
    def shown(cls, case_id: str, at: datetime) -> "CaseAdvance":
        """The student can see the answer in the exam system."""
        return cls(case_id, CaseState.SHOWN, {"shownAt": at})

    @classmethod
    def answer_left(cls, case_id: str, at: datetime) -> "CaseAdvance":
        """A message has ended without its answer. If a poll sees the answer from now on, it makes a new message."""
        return cls(case_id, values={"answerLeftAt": at})
