"""What the flows need of the outside world. `resources` implements these; a second exam system is one more adapter.

Every method may raise the errors of `casebridge.errors` and nothing else for what the other end does.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Protocol

from casebridge.errors import NotReadyError, PermanentError
from casebridge.exams.exam_key import ExamKey
from casebridge.exams.identity import Person
from casebridge.exams.models import (
    Candidate,
    CandidatePlace,
    ExamChanges,
    ExamPlace,
    ExplanationAnswer,
    ExplanationRegistration,
    ExplanationStatus,
    RequestedExplanation,
)
from casebridge.institutions.institution import Institution


class StudentRegistry(Protocol):
    """FS, seen by one institution (contract 3)."""

    def changed_exams(self, since: datetime) -> ExamChanges:
        """What was created or changed since, `since` included."""
        ...

    def explanation_rows(self, vurd_id: str) -> Sequence[dict[str, Any]]:
        """The raw rows of one exam, each with its `examId`; parsing is the caller's, so that no row is lost."""
        ...

    def fresh_rows(self, vurd_id: str) -> Sequence[dict[str, Any]]:
        """The same as they are now. Callers that ask at one time share a look, which began after each of them had asked."""
        ...

    def check_text(self, text: str) -> None:
        """Raise `PermanentError` `fs.text_empty` or `fs.text_too_long` for a text that FS cannot take."""
        ...

    def register_explanation(self, registration: ExplanationRegistration) -> None:
        """Register an explanation. The same registration twice has one effect at FS.

        Raises `TransientError` `fs.row_still_open` when FS says yes and shows the request as open all the same.
        """
        ...

    def check_credentials(self) -> None:
        """Raise `AuthBrokenError` while the credentials are refused; any other error says nothing about them."""
        ...


class ExamPartMissingError(PermanentError):
    """FS did not send something of the exam that the exam system knows it by. It may send it by now."""


class CandidateGoneError(PermanentError):
    """The exam system does not have the candidate any more: it may be found anew, as another one."""


class AnotherCandidatesRequestError(PermanentError):
    """The explanation request in the exam system belongs to another candidate than the case's."""


class AnswerTakenBackError(NotReadyError):
    """The answer that a poll saw is not to be handed on any more: the assessor works on it again."""


class ExamSystem(Protocol):
    """The exam system, seen by one institution: WISEflow today (contract 4), Inspera next (contract 5).

    All ids are opaque texts. What only one exam system has (its states, its lists, where it keeps an answer) is decided here. An
    adapter delivers the evidence of who a candidate is; whether it is enough is judged by `casebridge.exams.identity` alone.
    """

    @property
    def system(self) -> str:
        """Its name, as people say it."""
        ...

    @property
    def shows_answers(self) -> bool:
        """Whether the institution wants students to see answers in the exam system once FS has them."""
        ...

    def name_of(self, candidate: CandidatePlace) -> str:
        """The candidate's ids in the exam system's own words; begins a sentence."""
        ...

    def exams_named(self, flow_ids: Sequence[str]) -> str:
        """The exams' ids in the exam system's own words; the first few of many."""
        ...

    def find_exam(self, exam: ExamKey, *, vurderingsordning: str | None = None, tid: str | None = None) -> ExamPlace:
        """The further two are what FS says of the exam beside its key, where it says so.

        Raises `PermanentError` when there is none, or more than one that is equally good.
        """
        ...

    def find_candidate(self, place: ExamPlace, person: Person, *, anew: bool = False) -> CandidatePlace:
        """With `anew`, by what is read now.

        Raises `PermanentError` when the person is not there, or when the evidence of who it is contradicts itself.
        """
        ...

    def candidate(self, place: CandidatePlace) -> Candidate:
        """The candidate as it is now: a fresh look. Raises `CandidateGoneError` when it is not there any more."""
        ...

    def request_explanation(self, candidate: CandidatePlace, due: date | None) -> RequestedExplanation:
        """Ask the assessor. Asking twice gives the same request back."""
        ...

    def explanations(self, flow_id: str) -> Sequence[ExplanationStatus]:
        """Every explanation request on the exam."""
        ...

    def explanation(self, flow_id: str, explanation_request_id: str) -> ExplanationStatus:
        """One explanation request, looked at alone: it may show a text that the list does not."""
        ...

    def answer(
        self,
        flow_id: str,
        explanation_request_id: str,
        candidate: CandidatePlace,
        seen_at: datetime,
        marker: str | None = None,
    ) -> ExplanationAnswer:
        """The answer's text, never empty: an answer without a text is a `TransientError` (contract 4.8).

        `marker` is the one under which a poll saw the answer, at `seen_at`: that version or a later one is given. Without it:
        as it is now. Raises `AnswerTakenBackError`, `AnotherCandidatesRequestError`, and `PermanentError`
        `identity.group_text` where nobody can tell whose the text is.
        """
        ...

    def not_followed(
        self,
        unknown: Sequence[ExplanationStatus],
        nameless: Sequence[ExplanationStatus],
        hidden: Sequence[ExplanationStatus],
    ) -> PermanentError | None:
        """What people are told of listed requests that no poll can follow; `None` where there are none.

        `unknown` are in a state that nobody knows, `nameless` do not say which they are, and `hidden` are those that FS has the
        answer to: a correction of it would not be seen.
        """
        ...

    def show_explanation(self, flow_id: str, explanation_request_id: str) -> None:
        """Let the student see the answer in the exam system."""
        ...

    def check_credentials(self) -> None:
        """Raise `AuthBrokenError` while the credentials are refused."""
        ...


class Clients(Protocol):
    """Where the flows get the two ends for an institution. Clients are kept: one per institution and system."""

    def student_registry(self, institution: Institution) -> StudentRegistry: ...

    def exam_system(self, institution: Institution) -> ExamSystem: ...
