"""Flows, participants, comments and explanation requests as WISEflow keeps them (contract 4).

``wiseflow_json`` makes their JSON; ``wiseflow_access`` decides who may see them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from simulators.institution import Institution, Student


class FlowState(IntEnum):
    """The states of a flow as numbers. ``/sources/search`` has them as words."""

    NOT_ACTIVATED = 0
    PARTICIPATION_NOT_STARTED = 1
    PARTICIPATION_STARTED = 2
    PARTICIPATION_ENDED = 3
    CONCLUDED = 4
    ARCHIVED = 5


class FlowVariant(IntEnum):
    """The purpose of a flow."""

    ORDINARY = 0
    REEXAMINATION = 1
    REMARKING = 2


class ExplanationState(IntEnum):
    """The states of a request for a grade justification (contract 4.2)."""

    REQUESTED = 0
    ASSIGNED = 1
    SUBMITTED = 2
    ACCEPTED = 3


class ShareType(StrEnum):
    """Who can see a comment."""

    ALL = "ALL"
    ASSESSORS = "ASSESSORS"
    PARTICIPANTS = "PARTICIPANTS"
    NONE = "NONE"


UNKNOWN_STATE = 9
"""A state that version 1.34 does not describe, for the oddity ``unknown_state``."""


@dataclass(slots=True)
class Assessor:
    """A person who grades and writes explanations."""

    assessor_id: int
    user_id: int
    first_name: str
    last_name: str


@dataclass(slots=True)
class Participant:
    """A student on a flow."""

    participant_id: int
    student: Student
    unique_exam_id: str
    number: int
    activated: bool
    submission_id: int | None
    assessor: Assessor
    group_id: int | None = None
    """Members of a group hand in one submission together."""
    external_ids: list[dict[str, str]] | None = None
    """The user's names in other systems, in place of the usual ones. With an empty list the field is left out."""
    json: dict[str, Any] | None = None
    """The participant's JSON. It is kept because flows are read some thousand times, and participants rarely change."""


@dataclass(slots=True)
class Comment:
    """A comment of an assessor on a submission."""

    comment_id: int
    flow_id: int
    container_id: int
    """The id of the submission that the comment belongs to."""
    assessor: Assessor
    content: str
    share_type: ShareType
    created_at: float
    updated_at: float


@dataclass(slots=True)
class Source:
    """The link between a flow and an exam of the student registry."""

    source_id: int
    code: str


@dataclass(slots=True)
class AnswerVersion:
    """One submitted version of an answer. An unlocked answer is submitted again."""

    at: float
    text: str
    """The text as a person reads it."""
    written: str
    """The text as WISEflow stores it: the same, or HTML."""


@dataclass(slots=True)
class ExplanationRequest:
    """A request for a grade justification. Dates are Unix seconds, as in WISEflow's old endpoints."""

    explanation_id: int
    flow: Flow
    participant: Participant
    show_justification: bool
    due_date: int
    created_at: float
    state: int = ExplanationState.REQUESTED
    assign_date: int | None = None
    accept_date: int | None = None
    accepted_last: int = 0
    """The newest acceptDate so far, so that the next one differs even within the same second."""
    ready_at: float | None = None
    """When the request first reached the institution's answer state."""
    made_visible: bool = False
    versions: list[AnswerVersion] = field(default_factory=list)


@dataclass(slots=True)
class Flow:
    """An exam in WISEflow, or a part of one."""

    flow_id: int
    institution: Institution
    name: str
    sub_name: str
    state: FlowState
    variant: FlowVariant
    created: int
    participation_ends: int
    assessors: list[Assessor]
    sources: list[Source] = field(default_factory=list)
    combined_main_flow_id: int | None = None
    combined_sub_flow_ids: list[int] = field(default_factory=list)
    explanations_enabled: bool = True
    participants: list[Participant] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    explanations: list[ExplanationRequest] = field(default_factory=list)

    @property
    def marking_is_over(self) -> bool:
        """Explanations open after the marking period (contract 4.9)."""
        return self.state >= FlowState.PARTICIPATION_ENDED
