"""The interfaces of the outside systems that the flows use. `resources` implements them, with one adapter for each exam system.

For failures of the other system, the methods raise the errors of `casebridge.errors` and no others.
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
    """FS, as one institution uses it (contract 3)."""

    def changed_exams(self, since: datetime) -> ExamChanges:
        """The exams that were created or changed at `since` or later."""
        ...

    def explanation_rows(self, vurd_id: str) -> Sequence[dict[str, Any]]:
        """The raw rows of one exam, each with its `examId`. The caller parses them, so that no row is lost."""
        ...

    def fresh_rows(self, vurd_id: str) -> Sequence[dict[str, Any]]:
        """The raw rows as they are now. Callers at the same time share one read, which starts after all of them have asked."""
        ...

    def check_text(self, text: str) -> None:
        """Raise `PermanentError` `fs.text_empty` or `fs.text_too_long` for a text that FS cannot take."""
        ...

    def register_explanation(self, registration: ExplanationRegistration) -> None:
        """Register an explanation. The same registration twice has one effect at FS.

        Raises `TransientError` `fs.row_still_open` if FS accepts it and still shows the request as open.
        """
        ...

    def check_credentials(self) -> None:
        """Raise `AuthBrokenError` if the credentials are refused. Any other error says nothing about them."""
        ...


class ExamPartMissingError(PermanentError):
    """FS did not send a field of the exam that the exam system needs to find it. FS may send it by now."""


class CandidateGoneError(PermanentError):
    """The exam system no longer has this candidate. A new search may find the person as another candidate."""


class AnotherCandidatesRequestError(PermanentError):
    """The explanation request in the exam system belongs to another candidate than the case's."""


class AnswerTakenBackError(NotReadyError):
    """The answer that a poll saw must not be registered, because the assessor is working on it again."""


class ExamSystem(Protocol):
    """The exam system, as one institution uses it: WISEflow today (contract 4), Inspera next (contract 5).

    All ids are opaque texts. An adapter handles what only its exam system has: its states, its lists, and where an answer is. It
    delivers the evidence of who a candidate is. Only `casebridge.exams.identity` decides whether the evidence is enough.
    """

    @property
    def system(self) -> str:
        """The name of the exam system, for people."""
        ...

    @property
    def shows_answers(self) -> bool:
        """Whether the institution wants students to see answers in the exam system when FS has them."""
        ...

    def name_of(self, candidate: CandidatePlace) -> str:
        """The candidate's ids with the exam system's terms, as the beginning of a sentence."""
        ...

    def exams_named(self, flow_ids: Sequence[str]) -> str:
        """The exams' ids with the exam system's terms. If there are many, only the first ones."""
        ...

    def find_exam(self, exam: ExamKey, *, vurderingsordning: str | None = None, tid: str | None = None) -> ExamPlace:
        """The place of an exam. The other two parameters are what FS says about the exam besides its key, if anything.

        Raises `PermanentError` if no exam fits, or if several fit equally well.
        """
        ...

    def find_candidate(self, place: ExamPlace, person: Person, *, anew: bool = False) -> CandidatePlace:
        """The place of a person's candidate on the exam. With `anew`, no cached list is used.

        Raises `PermanentError` if the person is not there, or if the evidence contradicts itself.
        """
        ...

    def candidate(self, place: CandidatePlace) -> Candidate:
        """The candidate, read now. Raises `CandidateGoneError` if it is no longer there."""
        ...

    def request_explanation(self, candidate: CandidatePlace, due: date | None) -> RequestedExplanation:
        """Ask the assessor. Asking twice returns the same request."""
        ...

    def explanations(self, flow_id: str) -> Sequence[ExplanationStatus]:
        """All explanation requests of the exam."""
        ...

    def explanation(self, flow_id: str, explanation_request_id: str) -> ExplanationStatus:
        """One explanation request, read by itself. This may show a text that the list does not show."""
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

        `marker` is that of the answer which a poll saw at `seen_at`. The result is that version or a later one. Without
        `marker` it is the version of now. Raises `AnswerTakenBackError` and `AnotherCandidatesRequestError`, and `PermanentError`
        `identity.group_text` if it is not clear whose text it is.
        """
        ...

    def not_followed(
        self,
        unknown: Sequence[ExplanationStatus],
        nameless: Sequence[ExplanationStatus],
        hidden: Sequence[ExplanationStatus],
    ) -> PermanentError | None:
        """The error to report for listed requests that a poll cannot follow. `None` if there are none.

        - `unknown` are requests in an unknown state.
        - `nameless` are requests without a readable id.
        - `hidden` are unreadable requests whose answers FS has. A correction of these answers would not be noticed.
        """
        ...

    def show_explanation(self, flow_id: str, explanation_request_id: str) -> None:
        """Let the student see the answer in the exam system."""
        ...

    def check_credentials(self) -> None:
        """Raise `AuthBrokenError` if the credentials are refused."""
        ...


class Clients(Protocol):
    """Gives the flows the clients of an institution. There is one client for each institution and system, and it is kept."""

    def student_registry(self, institution: Institution) -> StudentRegistry: ...

    def exam_system(self, institution: Institution) -> ExamSystem: ...
