"""The values that grade explanations consist of, with the names that FS and the exam systems use.

These are plain values. They read and write nothing.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from casebridge.exams.exam_key import ExamKey, plain_vurd_id
from casebridge.exams.fs_values import ExamText, FsDate, FsKey, FsNumber, FsText, OptionalFsDate
from casebridge.exams.identity import Evidence, Person
from casebridge.fingerprint import short_hash
from casebridge.personal_data import DomainModel, Personal


class CaseType(StrEnum):
    """Case types of FS (contract 3.4). Only explanations are supported so far."""

    EXPLANATION = "BEGRUNN"


class ExplanationRequest(DomainModel):
    """A student's request for an explanation, as in FS (contract 2.2 and 3.3). The aliases are FS's field names."""

    vurd_id: Annotated[FsKey, AfterValidator(plain_vurd_id)] = Field(alias="examId")
    personlopenr: Personal[FsNumber]
    kandidatnr: Personal[FsNumber]
    brukernavn: Personal[FsText | None] = None
    kommisjons_id: FsText | None = Field(None, alias="kommisjonsId")
    dato_klage_mottatt: FsDate = Field(alias="datoKlageMottat")
    dato_vedtak_formidlet: OptionalFsDate = Field(None, alias="datoVedtakFormidlet")
    frist: OptionalFsDate = None
    vurderingsordning: ExamText = None
    tid: ExamText = None
    """This and `vurderingsordning` belong to the exam. FS may send them, and some exam systems identify the exam by them."""

    @property
    def exam(self) -> ExamKey:
        return ExamKey.from_vurd_id(self.vurd_id)

    def person(self, realm: str) -> Person:
        """The student who asked. `realm` is the realm of the institution's user names."""
        return Person(self.kandidatnr, self.personlopenr, self.brukernavn, realm)

    @property
    def finished_in_fs(self) -> bool:
        return self.dato_vedtak_formidlet is not None

    @property
    def version(self) -> str:
        """A fingerprint of the student's side of the request. Our own registration in FS does not change it."""
        return short_hash(
            self.kandidatnr, self.brukernavn, self.kommisjons_id, self.dato_klage_mottatt.isoformat(), self.frist
        )


@dataclass(frozen=True)
class ChangedExam:
    """One line of FS's list of changes: an exam, and its request rows if the list has them."""

    vurd_id: str
    changed_at: datetime | None
    """`None` if FS does not say when. The exam is read all the same, but does not move the watermark."""
    rows: Personal[tuple[dict[str, Any], ...] | None] = field(default=None, repr=False)
    """The raw request rows if the list has them. `None` means that they must be fetched for the exam."""


LINE_NOT_AN_OBJECT: Final = "the line is not an object"
LINE_WITHOUT_EXAM: Final = "the line has no examId"
LINE_WITHOUT_TIME: Final = "the line has no sistEndret that is a time"
LINE_FAULTS: Final = frozenset({LINE_NOT_AN_OBJECT, LINE_WITHOUT_EXAM, LINE_WITHOUT_TIME})


@dataclass(frozen=True)
class UnreadableLine:
    """One line of FS's list of changes without an exam or a time. `fault` says what is wrong and quotes nothing."""

    line: Personal[Any] = field(repr=False)
    fault: str


@dataclass(frozen=True)
class ExamChanges:
    """FS's list of changes, the oldest first, and the lines of it that cannot be read."""

    exams: tuple[ChangedExam, ...]
    unreadable: tuple[UnreadableLine, ...] = ()


@dataclass(frozen=True)
class ExamPlace:
    """The place of an exam in the exam system: in WISEflow its flow, and the sub-flows of a combined flow.

    All ids here and below are ids of the exam system. For the engine they are opaque texts (`external_id`).
    """

    flow_id: str
    sub_flow_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class CandidatePlace:
    """The place of a candidate in the exam system: the ids of flow, participant and submission. They are no ids of the person."""

    flow_id: str
    participant_id: str
    submission_id: str | None


@dataclass(frozen=True)
class Candidate:
    """A participant as the exam system has it now: its place, and the evidence of who it is."""

    place: CandidatePlace
    evidence: Personal[Evidence] = field(repr=False)


@dataclass(frozen=True)
class RequestedExplanation:
    """The exam system's confirmation of a request. `created` is false if the request existed already. Both are success."""

    explanation_request_id: str
    created: bool
    shown: bool


class ExplanationState(StrEnum):
    """How far an explanation has come. The adapter of each exam system translates that system's states."""

    AWAITED = "awaited"
    """The assessor has not answered yet, or the answer is not in the state that the institution requires."""
    READY = "ready"
    """The answer can be registered."""
    UNKNOWN = "unknown"
    """The exam system reports a state that its documentation does not have."""
    UNREADABLE = "unreadable"
    """The list's entry cannot be read. The state is found by reading the request by itself."""


@dataclass(frozen=True)
class ExplanationStatus:
    """One explanation request, as a poll sees it.

    `marker` changes whenever the answer may have changed. It has no personal data.
    """

    flow_id: str
    explanation_request_id: str | None
    """`None` if the list's entry cannot be read and does not say which request it is."""
    state: ExplanationState
    marker: str
    needs_own_read: bool = False
    """The list does not show the answer. A change of it is found only by reading the request by itself."""


@dataclass(frozen=True)
class ExplanationAnswer:
    """The assessor's text, and the time from which the student could have it. The adapter decides which time that is."""

    text: Personal[str] = field(repr=False)
    given_at: datetime
    source: str
    submission_id: str | None = None
    """The id of the submission whose comment is the answer, if the answer is a comment."""


@dataclass(frozen=True)
class ExplanationRegistration:
    """A registration in FS (contract 3.3). The time for an appeal starts on `communicated_on`, so the exam system dates it."""

    vurd_id: str
    personlopenr: Personal[int] = field(repr=False)
    kandidatnr: Personal[int] = field(repr=False)
    kommisjons_id: str | None
    communicated_on: date
    text: Personal[str] = field(repr=False)
