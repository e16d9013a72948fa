"""The records of WISEflow as values: flows, participants, explanation requests and comments (contract 4.2 to 4.4).

- They have only the fields that our rules need, never names of students or assessors. Unknown fields are ignored.
- `flow_matching` chooses the right record. `resources.wiseflow.client` fetches records.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AliasChoices, AliasPath, BeforeValidator, Field

from casebridge.exams.fs_rows import clipped
from casebridge.exams.identity import Evidence
from casebridge.exams.visible_text import says_something
from casebridge.fingerprint import short_hash
from casebridge.personal_data import DomainModel, Personal

NOT_ACTIVATED: Final = 0
"""State of a flow in which nobody can take part yet."""
MARKED_STATES: Final = frozenset({3, 4, 5})
"""Flow states PARTICIPATION_ENDED, CONCLUDED and ARCHIVED: there can be a grade to explain."""
SUBMITTED: Final = 2
ACCEPTED: Final = 3
"""States of an explanation request (contract 4.2): the assessor has answered; the answer was accepted."""
REPEATED_VARIANTS: Final = frozenset({1, 2})
"""Flow variants REEXAMINATION and REMARKING."""


FIRST_MOMENT: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""An earlier date counts as not set: it is the first second of Unix time, or the first day of a calendar."""
NOT_SET: Final = (0, "", "0")


def _set_date(value: Any) -> Any:
    """The date, or None if it is not set. WISEflow writes 0 then (its own sample has `acceptDate: 0`)."""
    moment = None if value in NOT_SET else _to_moment(value)
    return None if isinstance(moment, datetime) and moment < FIRST_MOMENT else moment


def _with_zone(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:  # the first or last day of the calendar, for "never": UTC would be outside it
        return value.replace(tzinfo=UTC)


def _to_moment(value: Any) -> Any:
    """The time of a field: Unix seconds at the old endpoints, ISO 8601 at the new ones. A time without a zone is UTC."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, OSError):
            raise ValueError("not a time that a calendar has") from None
    return _with_zone(datetime.fromisoformat(value)) if isinstance(value, str) else value


def _dated(value: datetime) -> datetime:
    if value < FIRST_MOMENT:
        raise ValueError("not set")
    return value


Moment = Annotated[datetime, BeforeValidator(_to_moment), AfterValidator(_dated)]
OptionalMoment = Annotated[Moment | None, BeforeValidator(_set_date)]


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a truth value is no number")  # noqa: TRY004 pydantic reports a ValueError as a field that is misstated
    return value


Id = Annotated[int, BeforeValidator(_no_truth_value), Field(ge=0, lt=2**63)]
"""A number that every database can store. A truth value is refused, because `true` would become the id 1 of somebody."""


def _set_id(value: Any) -> Any:
    return None if value in NOT_SET and not isinstance(value, bool) else value


OptionalId = Annotated[Id | None, BeforeValidator(_set_id)]
"""An id that may be missing. 0 or an empty text is not an id, so two records with it do not belong together."""


def _group(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(int(value) if value == value // 1 else value)
    if isinstance(value, str):
        value = value.strip()
        return value if value.strip("0") else None
    return value


GroupId = Annotated[str | None, BeforeValidator(_group)]
"""A group's id, always as text. None if it is 0 or empty."""


def _instead_of_null(default: Any) -> BeforeValidator:
    """Reads null as `default`, as if the field were absent. WISEflow may write null for a value that it does not have."""
    return BeforeValidator(lambda value: default if value is None else value)


Flag = Annotated[bool, _instead_of_null(default=False)]
Ids = Annotated[tuple[Id, ...], _instead_of_null(())]


class Flow(DomainModel):
    """A flow, as `GET /flow/{flowId}` and `GET /license/sis/flows/{sisCode}` return it."""

    flow_id: Id = Field(validation_alias=AliasChoices("id", "flowId"))
    state: int
    variant: int
    combined_main_flow_id: OptionalId = Field(None, alias="combinedMainFlowId")
    """Set on a sub-flow of a combined flow."""
    combined_sub_flow_ids: Ids = Field((), alias="combinedSubFlowIds")
    """Set on the main flow of a combined flow."""
    source_code: str | None = Field(None, alias="sisCode")


class SourceHit(DomainModel):
    """One hit of `POST /sources/search`. The vendor spells the id of its flow `flowid`."""

    code: str
    flow_id: Id = Field(
        validation_alias=AliasChoices(AliasPath("flow", "flowid"), AliasPath("flow", "flowId"), AliasPath("flow", "id"))
    )


@dataclass(frozen=True)
class EvidenceNames:
    """A licence's names for the systems whose external ids are evidence, in lower case (contract 4.3 `[inferred]`)."""

    user_names: frozenset[str] = frozenset({"feide"})
    person_numbers: frozenset[str] = frozenset({"fs"})

    @classmethod
    def of(cls, user_names: str, person_numbers: str) -> "EvidenceNames":
        """The names from the settings. There commas separate the names."""
        return cls(_names(user_names), _names(person_numbers))


def _names(with_commas: str) -> frozenset[str]:
    return frozenset(name.strip().casefold() for name in with_commas.split(",") if name.strip())


USUAL_NAMES: Final = EvidenceNames()


class ExternalId(DomainModel):
    """A person's id in another system, such as the Feide name or FS's person number. `name` is the system."""

    name: str | None = None
    value: Personal[str | None] = Field(None, coerce_numbers_to_str=True)


class ParticipantUser(DomainModel):
    """The user of a participant, without the person's name."""

    user_id: OptionalId = Field(None, alias="id")
    external_ids: Personal[Annotated[tuple[ExternalId, ...], _instead_of_null(())]] = Field((), alias="externalIds")


class Participant(DomainModel):
    """A participant of a flow. `unique_exam_id` is the candidate number if the flow came from FS (contract 4.3)."""

    participant_id: Id = Field(alias="participantId")
    unique_exam_id: Personal[str | None] = Field(None, alias="uniqueExamId", coerce_numbers_to_str=True)
    user_id: OptionalId = Field(None, alias="userId")
    submission_id: OptionalId = Field(None, alias="submissionId")
    group_id: GroupId = Field(None, alias="groupId")
    """Participants with the same group have handed in one submission together."""
    user: Personal[ParticipantUser | None] = None

    @property
    def person(self) -> int | None:
        """WISEflow's id of the person, the same on every flow."""
        return self.user_id if self.user_id is not None else (self.user.user_id if self.user else None)

    def evidence(self, names: EvidenceNames) -> Evidence:
        """What WISEflow knows of the person's identity. Personal data."""
        return Evidence(self.unique_exam_id, self._external(names.user_names), self._external(names.person_numbers))

    def _external(self, names: frozenset[str]) -> frozenset[str]:
        """The person's ids in the systems with these names."""
        external = self.user.external_ids if self.user else ()
        found = (one.value.strip() for one in external if one.value and (one.name or "").strip().casefold() in names)
        return frozenset(value for value in found if value)


PARTICIPANT_FIELDS: Final = {name: field.alias or name for name, field in Participant.model_fields.items()}
USER_FIELDS: Final = tuple(field.alias or name for name, field in ParticipantUser.model_fields.items())


@dataclass(frozen=True)
class UnreadableParticipant:
    """A row of a flow's list of participants that cannot be read as a whole. It does not hide other rows.

    It is never chosen as a participant. But it may be any participant that its readable fields do not exclude.
    """

    participant_id: int | None
    """The participant's id, if it can be read."""
    identity: str
    known: Personal[Participant] = field(repr=False, compare=False)
    """The fields that can be read, each alone. The participant id in it may be a placeholder."""
    unread: frozenset[str] = field(compare=False)
    """The fields of `Participant` that cannot be read. They may have any value."""

    @classmethod
    def of(cls, row: Any) -> "UnreadableParticipant":
        values = {name: row.get(alias) for name, alias in PARTICIPANT_FIELDS.items()} if isinstance(row, dict) else {}
        read = {name: value for name, value in values.items() if _can_be_read(name, value)}
        known = Participant.model_validate({"participant_id": 0, **read, "user": _known_user(values.get("user"))})
        return cls(
            _number(row, "participantId"),
            short_hash("unreadable", clipped(row)),
            known,
            frozenset(PARTICIPANT_FIELDS.keys() - read.keys()),
        )

    @property
    def submission_id(self) -> int | None:
        """The submission's id, if it can be read."""
        return self.known.submission_id

    @property
    def may_have_any_number(self) -> bool:
        """Whether its candidate number cannot be read."""
        return "unique_exam_id" in self.unread

    @property
    def pieces_unread(self) -> int:
        """How many pieces of evidence the unreadable fields may contain: the number, and the user's two ids."""
        return ("unique_exam_id" in self.unread) + 2 * ("user" in self.unread)

    @property
    def may_be_in_any_group(self) -> bool:
        return "group_id" in self.unread


def _can_be_read(name: str, value: Any) -> bool:
    try:
        Participant.model_validate({"participant_id": 0, name: value})
    except Exception:  # noqa: BLE001 every error means that this value cannot be read
        return False
    return True


def _known_user(user: Any) -> dict[str, Any]:
    """The readable fields of a participant's user."""
    values = {name: user.get(name) for name in USER_FIELDS} if isinstance(user, dict) else {}
    names = values.pop("externalIds", None)
    known = {name: value for name, value in values.items() if _can_be_read("user", {name: value})}
    one_by_one = names if isinstance(names, list) else []
    return {**known, "externalIds": [one for one in one_by_one if _can_be_read("user", {"externalIds": [one]})]}


class ExplanationParticipant(DomainModel):
    """The participant whose explanation it is."""

    participant_id: Id = Field(alias="participantId")


class AssignedAssessor(DomainModel):
    """The assessor who must answer, with the id on the flow and the id as a user."""

    assessor_id: OptionalId = Field(None, alias="assessorId")
    user_id: OptionalId = Field(None, validation_alias=AliasPath("user", "id"))


class Justification(DomainModel):
    """The answer's text, if WISEflow gives it on the request (contract 4.8 `[inferred]`)."""

    text: Personal[str | None] = None


class Explanation(DomainModel):
    """An explanation request ("grade justification") on a flow."""

    explanation_id: Id = Field(alias="explanationId")
    state: int
    request_date: Moment = Field(alias="requestDate")
    assign_date: OptionalMoment = Field(None, alias="assignDate")
    accept_date: OptionalMoment = Field(None, alias="acceptDate")
    show_justification: Flag = Field(False, alias="showJustification")
    participant: ExplanationParticipant | None = None
    assigned_assessor: AssignedAssessor | None = Field(None, alias="assignedAssessor")
    justification: Personal[Justification | None] = None

    @property
    def text(self) -> str | None:
        """The text on the request itself; None if there is none or nothing of it is visible."""
        text = self.justification.text if self.justification else None
        return text if text and says_something(text) else None


@dataclass(frozen=True)
class UnreadableExplanation:
    """A row of a flow's list of explanation requests that cannot be read. The same row has the same `identity`."""

    explanation_id: int | None
    """The request's id, if it can be read."""
    identity: str
    participant_id: int | None = None
    """The id of its participant, if it can be read."""

    @classmethod
    def of(cls, row: Any) -> "UnreadableExplanation":
        known = {name: row.get(name) for name in EXPLANATION_FIELDS} if isinstance(row, dict) else row
        participant = row.get("participant") if isinstance(row, dict) else None
        identity = short_hash("unreadable", clipped(known))
        return cls(_number(row, "explanationId"), identity, _number(participant, "participantId"))


EXPLANATION_FIELDS: Final = tuple(field.alias or name for name, field in Explanation.model_fields.items())
"""The fields of a row that we read. A change in other fields does not change its identity."""


class SubmissionComment(DomainModel):
    """An assessor's comment on a submission. `container_id` is the id of the submission."""

    comment_id: Id = Field(alias="id")
    container_id: OptionalId = Field(None, alias="containerId")
    assessor_id: OptionalId = Field(None, alias="assessorId")
    assessor_user_id: OptionalId = Field(None, alias="assessorUserId")
    content: Personal[str | None] = None
    share_type: Annotated[str, _instead_of_null("NONE")] = Field("NONE", alias="shareType")
    created_at: Moment = Field(alias="createdAt")
    updated_at: OptionalMoment = Field(None, alias="updatedAt")

    @property
    def changed_at(self) -> datetime:
        """When the text was last changed. A change date before the creation is ignored."""
        return max(self.created_at, self.updated_at or self.created_at)


@dataclass(frozen=True)
class UnreadableComment:
    """A row of a flow's list of comments that cannot be read. `container_id` is its submission, if that can be read."""

    container_id: int | None
    identity: str

    @classmethod
    def of(cls, row: Any) -> "UnreadableComment":
        return cls(_number(row, "containerId"), short_hash("unreadable", clipped(row)))


def _number(row: Any, name: str) -> int | None:
    """An id of WISEflow in a row that cannot be read as a whole; None if it is missing, unreadable or 0."""
    number = row.get(name) if isinstance(row, dict) else None
    is_number = isinstance(number, int) and not isinstance(number, bool) and 0 < number < 2**63
    return number if is_number else None
