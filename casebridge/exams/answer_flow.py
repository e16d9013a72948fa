"""The way back: the assessor's answer becomes a registration in FS, and is then shown where the institution wants that."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from casebridge.errors import CaseError, PermanentError
from casebridge.exams import answer_poller, case_at_hand
from casebridge.exams.case_advance import CaseAdvance
from casebridge.exams.cases import Case, Cases
from casebridge.exams.institution import Institution
from casebridge.exams.institution_register import InstitutionRegister
from casebridge.exams.models import CandidatePlace, ExplanationRegistration
from casebridge.exams.ports import Outside
from casebridge.exams.request_flow import institution_of
from casebridge.fingerprint import short_hash
from casebridge.messaging.flow import Result, Step, StepResult
from casebridge.messaging.message import Message, NewMessage

logger = logging.getLogger(__name__)

OSLO = ZoneInfo("Europe/Oslo")
REGISTERED: Final = "registered"


class AnswerFlow:
    """`fetch_answer` → `register_explanation` → `show_explanation`."""

    queue = answer_poller.QUEUE
    # The text stays where it belongs, in the exam system and in FS; the fingerprint is enough to see a change.
    forget: tuple[str, ...] = ("fetch_answer.result.text",)

    def __init__(
        self,
        institutions: InstitutionRegister,
        outside: Outside,
        cases: Cases,
        accept: Callable[[Sequence[NewMessage]], object],
    ) -> None:
        """`accept` puts messages into the inbox."""
        self._institutions = institutions
        self._outside = outside
        self._cases = cases
        self._accept = accept

    @property
    def steps(self) -> tuple[Step, ...]:
        # The answer is written down before it is registered: after a crash the same text is registered again, and not a newer
        # one while nobody can tell any more what FS had got before.
        return (
            Step("fetch_answer", self._fetch_answer),
            Step("register_explanation", self._register_explanation),
            Step("show_explanation", self._show_explanation),
        )

    def look_up(self, messages: Sequence[Message]) -> None:
        case_at_hand.read(messages, self._cases)

    def audit_fields(self, message: Message) -> dict[str, Any]:
        payload = message.payload
        return {
            "vurdId": payload.get("vurdId"),
            "kandidatnr": payload.get("kandidatnr"),
            "personlopenr": payload.get("personlopenr"),
            "testId": payload.get("flowId"),
        }

    def conclude(self, messages: Sequence[Message]) -> None:
        self._cases.advance([advance for message in messages for advance in _advances(message)])

    def set_aside(self, message: Message, error: CaseError) -> None:
        if message.payload.get("caseId"):
            self._cases.set_aside(message.payload["caseId"], error.code)

    def late(self, message: Message) -> None:
        """FS knows no fence: a registration that was on its way for too long may have taken a newer one's place.

        Then the newest answer is fetched and registered anew, by a message of its own.
        """
        case = self._cases.get(message.payload["caseId"])
        if case is not None and case.document.get("registeredBy") not in (None, message.key):
            logger.warning(
                "case %s: a late registration reached FS; the newest is registered anew", case.correlation_id
            )
            self._accept([_repair(message)])

    def _fetch_answer(self, message: Message, _results: Mapping[str, Result]) -> StepResult:
        case, repairs = self._case(message), bool(message.payload.get("repairs"))
        answer = self._outside.exam_system(self._institution(message)).answer(
            message.payload["flowId"],
            message.payload["explanationRequestId"],
            _candidate(case),
            None if repairs else message.payload.get("marker"),
        )
        text_hash = hashlib.sha256(answer.text.encode()).hexdigest()
        values: Result = {"textHash": text_hash, "givenAt": answer.given_at, "source": answer.source}
        if case.is_registered_by_another(message.key, text_hash) and not repairs:
            return StepResult({**values, "outcome": "unchanged"}, last=True)
        return StepResult({**values, "text": answer.text})

    def _register_explanation(self, message: Message, results: Mapping[str, Result]) -> StepResult:
        answer = results["fetch_answer"]
        case = self._case(message)
        given_at: datetime = answer["givenAt"]
        if case.has_newer_answer(given_at):
            return StepResult({"outcome": "overtaken"}, last=True)
        request = case.document
        self._outside.student_registry(self._institution(message)).register_explanation(
            ExplanationRegistration(
                vurd_id=request["vurdId"],
                personlopenr=request["personlopenr"],
                kandidatnr=request["kandidatnr"],
                kommisjons_id=request.get("kommisjonsId"),
                # The appeal's three weeks begin here: the day the answer was given, not the day we got round to it.
                communicated_on=given_at.astimezone(OSLO).date(),
                text=answer["text"],
            )
        )
        wants_to_show = self._wants_to_show(message)
        return StepResult({"outcome": REGISTERED}, last=not wants_to_show)

    def _show_explanation(self, message: Message, _results: Mapping[str, Result]) -> StepResult:
        self._outside.exam_system(self._institution(message)).show_explanation(
            message.payload["flowId"], message.payload["explanationRequestId"]
        )
        return StepResult({"shown": True})

    def _wants_to_show(self, message: Message) -> bool:
        wiseflow = self._institution(message).wiseflow
        return wiseflow is not None and wiseflow.show_justification

    def _institution(self, message: Message) -> Institution:
        return institution_of(message, self._institutions)

    def _case(self, message: Message) -> Case:
        case = case_at_hand.of(message, self._cases)
        if case is None:
            raise PermanentError(
                "casebridge.case_missing",
                "The case of this answer is not in oai.begrunnelser.",
                "Restore the collection from its backup, then replay the message.",
            )
        return case


def _advances(message: Message) -> Iterator[CaseAdvance]:
    case_id, answer = message.payload["caseId"], message.steps.get("fetch_answer")
    registration, showing = message.steps.get("register_explanation"), message.steps.get("show_explanation")
    if answer and registration and registration.result.get("outcome") == REGISTERED:
        found = answer.result
        yield CaseAdvance.registered(case_id, found["textHash"], found["givenAt"], message.key, registration.at)
    if showing:
        yield CaseAdvance.shown(case_id, showing.at)


def _repair(message: Message) -> NewMessage:
    return NewMessage(
        key=short_hash(message.key, message.fence, "repair"),
        queue=message.queue,
        org_id=message.org_id,
        env=message.env,
        exam_system=message.exam_system,
        ordering_key=message.ordering_key,
        correlation_id=message.correlation_id,
        payload={**message.payload, "repairs": True},
    )


def _candidate(case: Case) -> CandidatePlace:
    candidate = case.candidate
    if candidate is None:
        raise PermanentError(
            "casebridge.case_not_dispatched",
            "The case of this answer does not say where its candidate is in the exam system.",
            "Replay the case's request first, then this message.",
        )
    return candidate
