"""The payload of an answer's message and the results of the steps of its flow, as they are stored."""

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator

from casebridge.exams.external_id import ExternalId
from casebridge.messaging.flow.payload import Payload
from casebridge.messaging.flow.step import StepResult
from casebridge.personal_data import Personal

Flag = Annotated[bool, BeforeValidator(bool)]


class AnswerPayload(Payload):
    """Which explanation request of which case has an answer. Messages of earlier releases have no `version`."""

    case_id: str
    flow_id: ExternalId
    explanation_request_id: ExternalId
    marker: str | None = None
    """The marker of the answer that a poll saw. `None` if the message looks for the request itself."""
    version: str | None = None
    looked_for: Flag = False
    repairs: Flag = False
    """FS may have an older answer. The newest is registered, even if our case says that FS has it."""
    reopened: Flag = False

    @property
    def is_looked_for(self) -> bool:
        """Whether the list did not show the request or its state. In messages of earlier releases only the marker says so."""
        return self.looked_for or (self.marker is None and not self.repairs)


class FetchedAnswer(StepResult):
    """The answer. Its text is removed when the message is finished."""

    step = "fetch_answer"

    text_hash: str
    given_at: datetime
    source: str | None = None
    submission_id: ExternalId | None = None
    text: Personal[str | None] = None
    outcome: str | None = None
    """Set if FS has the text already."""


class Registered(StepResult):
    """The outcome of the registration, and fingerprints of the student's identity at that time."""

    step = "register_explanation"

    outcome: str
    registered_for: Personal[dict[str, str] | None] = None


class Shown(StepResult):
    """Whether the answer was shown to the student. If not, `outcome` says why."""

    step = "show_explanation"

    shown: bool = False
    outcome: str | None = None
