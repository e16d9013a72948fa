"""An exam system in memory whose ids are texts: the smallest adapter of the port that can carry a case to its end."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from casebridge.errors import PermanentError
from casebridge.exams.exam_key import ExamKey
from casebridge.exams.identity import Evidence, Person
from casebridge.exams.models import (
    Candidate,
    CandidatePlace,
    ExamPlace,
    ExplanationAnswer,
    ExplanationState,
    ExplanationStatus,
    RequestedExplanation,
)
from casebridge.exams.ports import CandidateGoneError, Clients, ExamSystem, StudentRegistry
from casebridge.institutions.institution import Institution

GIVEN = datetime(2026, 1, 9, 12, tzinfo=UTC)


class TextExams:
    """Has every candidate that is asked for. A request has an answer once `texts` has a text for it."""

    system = "Text exams"
    shows_answers = True

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        """The text of each answer, by explanation request."""
        self.requests: dict[str, CandidatePlace] = {}
        self.shown: set[str] = set()
        self._people: dict[str, Person] = {}

    def name_of(self, candidate: CandidatePlace) -> str:
        return f"Candidate {candidate.participant_id} of {candidate.flow_id}"

    def exams_named(self, flow_ids: Sequence[str]) -> str:
        return ", ".join(flow_ids)

    def find_exam(self, exam: ExamKey, *, vurderingsordning: str | None = None, tid: str | None = None) -> ExamPlace:
        return ExamPlace(f"exam-{exam.emnekode.lower()}")

    def find_candidate(self, place: ExamPlace, person: Person, *, anew: bool = False) -> CandidatePlace:
        name = f"candidate-{person.kandidatnr}"
        self._people[name] = person
        return CandidatePlace(place.flow_id, name, None)

    def candidate(self, place: CandidatePlace) -> Candidate:
        if place.participant_id not in self._people:
            raise CandidateGoneError("text_exams.candidate_gone", "The candidate is gone.", "Look.", system=self.system)
        person = self._people[place.participant_id]
        numbers = frozenset({str(person.personlopenr)})
        return Candidate(place, Evidence(candidate_number=str(person.kandidatnr), person_numbers=numbers))

    def request_explanation(self, candidate: CandidatePlace, due: date | None) -> RequestedExplanation:
        request = f"request-of-{candidate.participant_id}"
        created = request not in self.requests
        self.requests[request] = candidate
        return RequestedExplanation(request, created, shown=False)

    def explanations(self, flow_id: str) -> Sequence[ExplanationStatus]:
        found = [request for request, candidate in self.requests.items() if candidate.flow_id == flow_id]
        return [self.explanation(flow_id, request) for request in found]

    def explanation(self, flow_id: str, explanation_request_id: str) -> ExplanationStatus:
        text = self.texts.get(explanation_request_id)
        state = ExplanationState.AWAITED if text is None else ExplanationState.READY
        return ExplanationStatus(flow_id, explanation_request_id, state, f"marker of {text}")

    def answer(
        self,
        flow_id: str,
        explanation_request_id: str,
        candidate: CandidatePlace,
        seen_at: datetime,
        marker: str | None = None,
    ) -> ExplanationAnswer:
        assert self.requests[explanation_request_id] == candidate
        return ExplanationAnswer(self.texts[explanation_request_id], GIVEN, "text")

    def not_followed(
        self,
        unknown: Sequence[ExplanationStatus],
        nameless: Sequence[ExplanationStatus],
        hidden: Sequence[ExplanationStatus],
    ) -> PermanentError | None:
        return None

    def show_explanation(self, flow_id: str, explanation_request_id: str) -> None:
        self.shown.add(explanation_request_id)

    def check_credentials(self) -> None: ...


class TextClients:
    """The real client of FS, and `TextExams` as every institution's exam system."""

    def __init__(self, clients: Clients, exams: TextExams) -> None:
        self._clients = clients
        self._exams = exams

    def student_registry(self, institution: Institution) -> StudentRegistry:
        return self._clients.student_registry(institution)

    def exam_system(self, institution: Institution) -> ExamSystem:
        return self._exams
