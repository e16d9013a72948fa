"""One step forward of one case, as a value: many are written with one command (`Cases.advance`).

Every advance sets absolute values and only moves a case forward, so that a repeated or late write changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from pymongo import UpdateOne

from casebridge.clock import FAR_AHEAD
from casebridge.exams.deadlines import at_midnight
from casebridge.exams.explanations.case_state import OPEN, CaseState
from casebridge.exams.external_id import stored_id
from casebridge.exams.models import CandidatePlace, ExplanationRequest
from casebridge.personal_data import Personal

Values = Mapping[str, Any]


@dataclass(frozen=True)
class CaseAdvance:
    """`values` are set whatever the case's state, and `moved` too if it is still one of those `before`."""

    case_id: str
    before: tuple[str, ...]
    moved: Values
    values: Personal[Values] = field(default_factory=dict, repr=False)
    only_if: Values = field(default_factory=dict)

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
            "setAside": None,
        }
        moved = {"state": CaseState.DISPATCHED.value, "dispatchedAt": at}
        return cls(case_id, (CaseState.REQUESTED.value,), moved, values)

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
            "setAside": None,
        }
        # Not by `$or`: some servers then read every case. A time far ahead is none: no answer would ever be newer.
        not_newer = {"answerSeenAt": {"$not": {"$gt": seen_at, "$lte": at + FAR_AHEAD}}}
        moved = {"state": CaseState.REGISTERED.value}
        return cls(case_id, (*OPEN, CaseState.WITHDRAWN.value), moved, values, not_newer)

    @classmethod
    def shown(cls, case_id: str, at: datetime) -> "CaseAdvance":
        """The student can see the answer in the exam system."""
        return cls(case_id, (CaseState.REGISTERED.value,), {"state": CaseState.SHOWN.value, "shownAt": at})

    @classmethod
    def answer_left(cls, case_id: str, at: datetime) -> "CaseAdvance":
        """A message of the answer has ended without it. Whatever is seen of it from now on is news."""
        return cls(case_id, tuple(state.value for state in CaseState), {}, {"answerLeftAt": at})

    def move(self) -> UpdateOne:
        """For a case that is still where it was."""
        where = {"_id": {"$eq": self.case_id}, **self.only_if, "state": {"$in": list(self.before)}}
        return UpdateOne(where, {"$set": {**self.values, **self.moved}})

    def note(self) -> UpdateOne:
        """For one that has moved on: the values, and no step back."""
        return UpdateOne({"_id": {"$eq": self.case_id}, **self.only_if}, {"$set": dict(self.values)})
