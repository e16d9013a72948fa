"""The flow of WISEflow's events: it polls the flow that the event names at once, instead of with the next poll.

An answer gets the same message key from a poll and from an event, so it is never registered twice.
"""

from typing import Any

from casebridge.exams.explanations import explanation_event_record
from casebridge.exams.explanations.answer_poller import AnswerPoller
from casebridge.exams.explanations.audit_columns import NO_COLUMNS
from casebridge.exams.explanations.request_flow import institution_of
from casebridge.exams.external_id import ExternalId
from casebridge.institutions.register import InstitutionRegister
from casebridge.messaging.flow.flow import Flow
from casebridge.messaging.flow.payload import Payload
from casebridge.messaging.flow.step import Step, StepResult, Steps
from casebridge.messaging.queue.message import Message
from casebridge.sources.record_flow import kafka_fields


class EventPayload(Payload):
    """The flow on which something happened."""

    flow_id: ExternalId


class LookedForAnswer(StepResult):
    """How many requests the flow has, how many answers were new, and how many were known."""

    step = "look_for_answer"

    seen: int
    accepted: int
    known: int


class ExplanationEventFlow(Flow):
    """`look_for_answer`. An event itself changes no case. The message of the answer that is found does."""

    queue = explanation_event_record.QUEUE
    payload = EventPayload

    def __init__(self, institutions: InstitutionRegister, poller: AnswerPoller) -> None:
        self._institutions = institutions
        self._poller = poller

    @property
    def steps(self) -> Steps:
        return (Step(LookedForAnswer, self._look_for_answer),)

    def audit_fields(self, message: Message) -> dict[str, Any]:
        return {**NO_COLUMNS, "testId": message.payload.get("flowId"), **kafka_fields(message)}

    def _look_for_answer(self, message: Message) -> LookedForAnswer:
        institution = institution_of(message, self._institutions)
        outcome = self._poller.poll_flow(institution, EventPayload.of(message).flow_id)
        return LookedForAnswer(seen=outcome.seen, accepted=len(outcome.accepted), known=outcome.known)
