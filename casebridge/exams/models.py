"""The things that a grade explanation is about, in the words of FS and the exam systems.

Plain values only: no behaviour that reads or writes anything.
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
    """Case types of FS (contract 3.4). Only explanations are carried so far."""

    EXPLANATION = "BEGRUNN"


class ExplanationRequest(DomainModel):
    """A student's request for an explanation, as FS holds it (contract 2.2 and 3.3; FS's own field names as aliases)."""

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
    """Of the exam, where FS sends them: some exam systems know the exam by them."""

    @property
    def exam(self) -> ExamKey:
        return ExamKey.from_vurd_id(self.vurd_id)

    def person(self, realm: str) -> Person:
        """The student who asked; `realm` is that of the institution's user names."""
        return Person(self.kandidatnr, self.personlopenr, self.brukernavn, realm)

    @property
    def finished_in_fs(self) -> bool:
        return self.dato_vedtak_formidlet is not None

    @property
    def version(self) -> str:
        """Changes when the student's side of the request changes; our own registration in FS does not change it."""
        return short_hash(
            self.kandidatnr, self.brukernavn, self.kommisjons_id, self.dato_klage_mottatt.isoformat(), self.frist
        )


@dataclass(frozen=True)
class ChangedExam:
    """One line of FS's answer to "what changed since": an exam, and its requests where FS already sent them whole."""

    vurd_id: str
    changed_at: datetime | None
    """`None` where FS does not say when; the exam is read, and the watermark does not move for it."""
    rows: Personal[tuple[dict[str, Any], ...] | None] = field(default=None, repr=False)
    """The raw request rows if the list held them; `None` means that they must be fetched per exam."""


LINE_NOT_AN_OBJECT: Final = "the line is not an object"
LINE_WITHOUT_EXAM: Final = "the line has no examId"
LINE_WITHOUT_TIME: Final = "the line has no sistEndret that is a time"
LINE_FAULTS: Final = frozenset({LINE_NOT_AN_OBJECT, LINE_WITHOUT_EXAM, LINE_WITHOUT_TIME})


@dataclass(frozen=True)
class UnreadableLine:
    """One line of that answer that names no exam, or no time; `fault` says what is the matter and quotes nothing."""

    line: Personal[Any] = field(repr=False)
    fault: str


@dataclass(frozen=True)
class ExamChanges:
    """FS's answer to "what changed since": the oldest change first, and the lines that cannot be read."""

    exams: tuple[ChangedExam, ...]
    unreadable: tuple[UnreadableLine, ...] = ()


@dataclass(frozen=True)
class ExamPlace:
    """Where an exam takes place in the exam system: in WISEflow its flow, and the sub-flows of a combined flow.

    The ids here and below are the exam system's own; to the engine they are opaque texts (`external_id`).
    """

    flow_id: str
    sub_flow_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class CandidatePlace:
    """A candidate in the exam system: participant and submission are ids of the exam system, not of the person."""

    flow_id: str
    participant_id: str
    submission_id: str | None


@dataclass(frozen=True)
class Candidate:
    """A participant as the exam system has it now: where, and the evidence of who it is."""

    place: CandidatePlace
    evidence: Personal[Evidence] = field(repr=False)


@dataclass(frozen=True)
class RequestedExplanation:
    """The exam system's receipt. `created` is false when the request was there already: both are success."""

    explanation_request_id: str
    created: bool
    shown: bool


class ExplanationState(StrEnum):
    """How far an explanation has come. What an exam system's own states mean is decided by its adapter."""

    AWAITED = "awaited"
    """The assessor has not answered yet, or not so far that the institution wants to hand the answer on."""
    READY = "ready"
    """The answer is to be handed on."""
    UNKNOWN = "unknown"
    """The exam system reports something that its documentation does not know."""
    UNREADABLE = "unreadable"
    """What is listed cannot be read: how far it has come is seen by a look at the request alone."""


@dataclass(frozen=True)
class ExplanationStatus:
    """One explanation request, as a poll sees it.

    `marker` changes whenever the answer may have changed. It carries no personal data.
    """

    flow_id: str
    explanation_request_id: str | None
    """`None` for what is listed, cannot be read, and does not say of which request it is."""
    state: ExplanationState
    marker: str
    needs_own_look: bool = False
    """The list does not show the answer: a change of it shows only in a look at the request alone."""


@dataclass(frozen=True)
class ExplanationAnswer:
    """The assessor's text and the moment from which the student could have it. Which one that is, the adapter decides."""

    text: Personal[str] = field(repr=False)
    given_at: datetime
    source: str
    submission_id: str | None = None
    """The submission whose comment it is, if it is one."""


@dataclass(frozen=True)
class ExplanationRegistration:
    """What FS is told: contract 3.3. `communicated_on` starts the appeal's clock, so it comes from the exam system."""

    vurd_id: str
    personlopenr: Personal[int] = field(repr=False)
    kandidatnr: Personal[int] = field(repr=False)
    kommisjons_id: str | None
    communicated_on: date
    text: Personal[str] = field(repr=False)
