"""What an answer's message says, and what each step of its flow comes to, as they are stored."""

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
    """Of the answer that a poll saw; none where the request is looked for by itself."""
    version: str | None = None
    looked_for: Flag = False
    repairs: Flag = False
    """FS may have an older answer: the newest is registered, whatever we know."""
    reopened: Flag = False

    @property
    def is_looked_for(self) -> bool:
        """Whether the list did not show the request, or not how far it has come. Earlier messages tell it by their marker."""
        return self.looked_for or (self.marker is None and not self.repairs)


class FetchedAnswer(StepResult):
    """The answer. Its text is dropped when the message is done."""

    step = "fetch_answer"

    text_hash: str
    given_at: datetime
    source: str | None = None
    submission_id: ExternalId | None = None
    text: Personal[str | None] = None
    outcome: str | None = None
    """Set where FS has the text already."""


class Registered(StepResult):
    """What became of the registration, and fingerprints of who the student was then."""

    step = "register_explanation"

    outcome: str
    registered_for: Personal[dict[str, str] | None] = None


class Shown(StepResult):
    """Whether the student was let see the answer; if not, `outcome` says why."""

    step = "show_explanation"

    shown: bool = False
    outcome: str | None = None
