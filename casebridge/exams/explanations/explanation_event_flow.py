"""The flow of WISEflow's events: look at the flow that the event names, at once, as the next poll would have done.

What is found becomes the same message under the same key, so poll and event never make two registrations.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from casebridge.errors import CaseError
from casebridge.exams.explanations import explanation_event_record
from casebridge.exams.explanations.answer_poller import AnswerPoller
from casebridge.exams.explanations.audit_columns import NO_COLUMNS
from casebridge.exams.explanations.request_flow import institution_of
from casebridge.institutions.register import InstitutionRegister
from casebridge.messaging.flow.flow import Result, Step, StepResult
from casebridge.messaging.queue.malformed_documents import check_payload
from casebridge.messaging.queue.message import Message
from casebridge.sources.record_flow import kafka_fields


class ExplanationEventFlow:
    """`look_for_answer`."""

    queue = explanation_event_record.QUEUE
    dropped_results: tuple[str, ...] = ()

    def __init__(self, institutions: InstitutionRegister, poller: AnswerPoller) -> None:
        self._institutions = institutions
        self._poller = poller

    @property
    def steps(self) -> tuple[Step, ...]:
        return (Step("look_for_answer", self._look_for_answer),)

    def prefetch(self, messages: Sequence[Message]) -> None:
        """Nothing: the poller reads the cases of the whole flow."""

    def audit_fields(self, message: Message) -> dict[str, Any]:
        return {**NO_COLUMNS, "testId": message.payload.get("flowId"), **kafka_fields(message)}

    def apply_to_cases(self, messages: Sequence[Message]) -> None:
        """Nothing: an event changes no case; the answer that it led to will."""

    def set_aside(self, message: Message, error: CaseError) -> None:
        """Nothing to mark: the polls look at the case as before."""

    def on_lease_lost(self, message: Message) -> None:
        """Nothing to mend: it only looks, and the inbox takes each answer once."""

    def _look_for_answer(self, message: Message, _results: Mapping[str, Result]) -> StepResult:
        check_payload(message, {"flowId": int})
        institution = institution_of(message, self._institutions)
        outcome = self._poller.look_at(institution, message.payload["flowId"])
        return StepResult({"seen": outcome.seen, "accepted": len(outcome.accepted), "known": outcome.known})
