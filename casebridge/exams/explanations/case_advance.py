"""The steps forward of an explanation case: what is written when the exam system has the request, FS the answer, and so on."""

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
    """One step forward of one explanation case."""

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
        """The exam system has the request. Also after a change in FS: place and deadline are set anew."""
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
        """FS has the answer with this fingerprint, which we saw at `seen_at`, as this `version` of it (`answer_poller`).

        `registered_for` is who the student was in FS then (`registered_identity`); what earlier releases wrote does not say it.

        A write that comes later than that of an answer that was seen after it changes nothing.
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
        # Not by `$or`: some servers then read every case. A time far ahead is none: no answer would ever be newer.
        not_newer = {"answerSeenAt": {"$not": {"$gt": seen_at, "$lte": at + FAR_AHEAD}}}
        return cls(case_id, CaseState.REGISTERED, values=values, only_if=not_newer)

    @classmethod
    def shown(cls, case_id: str, at: datetime) -> "CaseAdvance":
        """The student can see the answer in the exam system."""
        return cls(case_id, CaseState.SHOWN, {"shownAt": at})

    @classmethod
    def answer_left(cls, case_id: str, at: datetime) -> "CaseAdvance":
        """A message of the answer has ended without it. Whatever is seen of it from now on is news."""
        return cls(case_id, values={"answerLeftAt": at})
