"""The payload of a request's message and the results of the steps of its flow, as they are stored."""

from collections.abc import Mapping
from typing import Any, Self

from casebridge.errors import PermanentError
from casebridge.exams.external_id import ExternalId
from casebridge.exams.fs_rows import UnreadableRow, read_row, safe_fields
from casebridge.exams.models import CandidatePlace, ExamPlace, ExplanationRequest
from casebridge.messaging.flow.payload import Payload
from casebridge.messaging.flow.step import StepResult
from casebridge.messaging.queue.message import UNKNOWN
from casebridge.personal_data import Personal


class _StoredRequest(Payload):
    case_id: str
    request: Personal[dict[str, Any]]


class RequestPayload(Payload):
    """The request in the message, and its case."""

    case_id: str
    request: ExplanationRequest

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """Raises `PermanentError` `fs.row_unreadable` for a row that FS sent in an unreadable form."""
        if "unreadable" in stored:
            raise _unreadable(safe_fields(str(stored.get("fields", UNKNOWN))))
        stored_request = _StoredRequest.read(stored)
        request = read_row(stored_request.request)
        if isinstance(request, UnreadableRow):
            raise _unreadable(request.fields)
        return cls(case_id=stored_request.case_id, request=request)


class FoundExam(StepResult):
    """Where the exam takes place."""

    step = "find_exam"

    flow_id: ExternalId
    sub_flow_ids: list[ExternalId]

    @property
    def place(self) -> ExamPlace:
        return ExamPlace(self.flow_id, tuple(self.sub_flow_ids))


class FoundCandidate(StepResult):
    """Where the candidate is."""

    step = "find_candidate"

    flow_id: ExternalId
    participant_id: ExternalId
    submission_id: ExternalId | None

    @classmethod
    def at(cls, place: CandidatePlace) -> Self:
        return cls(flow_id=place.flow_id, participant_id=place.participant_id, submission_id=place.submission_id)

    @property
    def place(self) -> CandidatePlace:
        return CandidatePlace(self.flow_id, self.participant_id, self.submission_id)


class Requested(StepResult):
    """The explanation request as the exam system confirmed it. Earlier releases stored neither place nor deadline here."""

    step = "request_explanation"

    flow_id: ExternalId | None = None
    participant_id: ExternalId | None = None
    submission_id: ExternalId | None = None
    explanation_request_id: ExternalId
    created: bool
    shown: bool = False
    deadline: str | None = None
    """A day in ISO 8601 format."""

    @property
    def place(self) -> CandidatePlace | None:
        if self.flow_id is None or self.participant_id is None:
            return None
        return CandidatePlace(self.flow_id, self.participant_id, self.submission_id)


def _unreadable(fields: str) -> PermanentError:
    return PermanentError(
        "fs.row_unreadable",
        f"FS sent a request that lacks or misstates: {fields}.",
        "Ask the institution to correct the row in FS. The next poll reads the corrected row. Then discard this message, "
        "which has the raw row.",
        system="FS",
    )
