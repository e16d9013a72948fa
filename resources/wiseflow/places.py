"""Where an exam and a candidate are in WISEflow. WISEflow's ids are numbers here, and opaque texts in the engine."""

from dataclasses import dataclass
from typing import Final, Self

from casebridge.errors import PermanentError
from casebridge.exams.external_id import stored_id
from casebridge.exams.models import CandidatePlace, ExamPlace

SYSTEM: Final = "WISEflow"


@dataclass(frozen=True)
class FlowPlace:
    """A flow, and the sub-flows of a combined flow."""

    flow_id: int
    sub_flow_ids: tuple[int, ...] = ()

    @property
    def flow_ids(self) -> tuple[int, ...]:
        return (self.flow_id, *self.sub_flow_ids)

    @classmethod
    def of(cls, place: ExamPlace) -> Self:
        return cls(number(place.flow_id), tuple(map(number, place.sub_flow_ids)))

    def opaque(self) -> ExamPlace:
        """The same place with opaque ids, for the engine."""
        return ExamPlace(str(self.flow_id), tuple(map(str, self.sub_flow_ids)))


@dataclass(frozen=True)
class ParticipantPlace:
    """A participant, and its submission if it has one."""

    flow_id: int
    participant_id: int
    submission_id: int | None

    @property
    def name(self) -> str:
        """The participant's name at the beginning of a sentence."""
        return f"Participant {self.participant_id} of flow {self.flow_id} in {SYSTEM}"

    @classmethod
    def of(cls, place: CandidatePlace) -> Self:
        submission_id = None if place.submission_id is None else number(place.submission_id)
        return cls(number(place.flow_id), number(place.participant_id), submission_id)

    def opaque(self) -> CandidatePlace:
        """The same place with opaque ids, for the engine."""
        submission_id = None if self.submission_id is None else str(self.submission_id)
        return CandidatePlace(str(self.flow_id), str(self.participant_id), submission_id)


def number(name: str) -> int:
    """The number of an id. Raises `PermanentError` `wiseflow.id_unreadable` if it is not a number: then a person wrote it."""
    form = stored_id(name)
    if isinstance(form, int):
        return form
    raise PermanentError(
        "wiseflow.id_unreadable",
        f"An id that stands in a case or message is none of {SYSTEM}'s, which are whole numbers.",
        "Correct flowId, participantId, submissionId or explanationRequestId where it stands, in oai.begrunnelser or "
        "oai.meldingQ; then replay the message.",
        system=SYSTEM,
    )
