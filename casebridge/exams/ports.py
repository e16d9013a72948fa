"""What the flows need of the outside world. `resources` implements these; a second exam system is one more adapter.

Every method may raise the errors of `casebridge.errors` and nothing else for what the other end does.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Protocol

from casebridge.exams.exam_key import ExamKey
from casebridge.exams.institution import Institution
from casebridge.exams.models import (
    CandidatePlace,
    ExamChanges,
    ExamPlace,
    ExplanationAnswer,
    ExplanationRegistration,
    ExplanationStatus,
    RequestedExplanation,
)


class StudentRegistry(Protocol):
    """FS, seen by one institution (contract 3)."""

    def changed_exams(self, since: datetime) -> ExamChanges:
        """What was created or changed since, `since` included."""
        ...

    def explanation_rows(self, vurd_id: str) -> Sequence[dict[str, Any]]:
        """The raw rows of one exam, each with its `examId`; parsing is the caller's, so that no row is lost."""
        ...

    def register_explanation(self, registration: ExplanationRegistration) -> None:
        """Register an explanation. The same registration twice has one effect at FS."""
        ...

    def check_credentials(self) -> None:
        """Raise `AuthBrokenError` while the credentials are refused; any other error says nothing about them."""
        ...


class ExamSystem(Protocol):
    """The exam system, seen by one institution: WISEflow today (contract 4), Inspera next (contract 5)."""

    def find_exam(self, exam: ExamKey) -> ExamPlace:
        """Raises `PermanentError` when there is none, or more than one that is equally good."""
        ...

    def find_candidate(self, place: ExamPlace, kandidatnr: int, brukernavn: str | None) -> CandidatePlace:
        """Raises `PermanentError` when the candidate is not there."""
        ...

    def request_explanation(self, candidate: CandidatePlace, due: date | None) -> RequestedExplanation:
        """Ask the assessor. Asking twice gives the same request back."""
        ...

    def explanations(self, flow_id: int) -> Sequence[ExplanationStatus]:
        """Every explanation request on the flow."""
        ...

    def answer(
        self, flow_id: int, explanation_request_id: int, candidate: CandidatePlace, marker: str | None = None
    ) -> ExplanationAnswer:
        """The answer's text, never empty: raises `TransientError` `wiseflow.answer_empty` when there is none (contract 4.8).

        `marker` is the one under which a poll saw the answer: that version or a later one is given. Without it: as it is now.
        """
        ...

    def show_explanation(self, flow_id: int, explanation_request_id: int) -> None:
        """Let the student see the answer in the exam system."""
        ...

    def check_credentials(self) -> None:
        """Raise `AuthBrokenError` while the credentials are refused."""
        ...


class Outside(Protocol):
    """Where the flows get the two ends for an institution. Clients are kept: one per institution and system."""

    def student_registry(self, institution: Institution) -> StudentRegistry: ...

    def exam_system(self, institution: Institution) -> ExamSystem: ...
