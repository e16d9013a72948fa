"""The flow of answers: it registers the assessor's answer in FS and then shows it, if the institution wants that."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from casebridge.errors import CaseError, PermanentError, TransientError
from casebridge.exams.exam_key import exam_name
from casebridge.exams.explanations import answer_poller, prefetched_case
from casebridge.exams.explanations.answer_steps import AnswerPayload, FetchedAnswer, Registered, Shown
from casebridge.exams.explanations.audit_columns import NO_COLUMNS
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.case_advance import CaseAdvance
from casebridge.exams.explanations.case_ids import case_id
from casebridge.exams.explanations.case_state import OPEN
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.current_row import CurrentRow, current_row
from casebridge.exams.explanations.identity_check import IDENTITY, IdentityCheck
from casebridge.exams.explanations.registered_identity import identity_of
from casebridge.exams.explanations.request_flow import (
    FINISHED,
    REMOVED,
    SUPERSEDED,
    case_missing,
    check_correction_read,
    has_moved,
    institution_of,
)
from casebridge.exams.explanations.request_intake import request_message
from casebridge.exams.models import CandidatePlace, ExplanationAnswer, ExplanationRegistration
from casebridge.exams.ports import AnotherCandidatesRequestError, AnswerTakenBackError, Clients
from casebridge.fingerprint import short_hash
from casebridge.institutions.institution import Institution
from casebridge.institutions.register import InstitutionRegister
from casebridge.messaging.flow.flow import Flow
from casebridge.messaging.flow.step import Ended, Last, Step, Steps
from casebridge.messaging.queue.message import UNFINISHED, Message, MessageStatus, NewMessage, is_text
from casebridge.messaging.queue.unreadable import unreadable

logger = logging.getLogger(__name__)

OSLO = ZoneInfo("Europe/Oslo")
REGISTERED: Final = "registered"
UNCHANGED: Final = "unchanged"
"""The outcome of a message whose text FS already has from another message."""
UNANSWERED: Final = "not answered"
"""The outcome of a message whose request the list did not show, and that has no answer when it is read by itself."""
LEFT: Final = frozenset({SUPERSEDED, UNANSWERED, REMOVED, FINISHED})
"""The outcomes without the answer. If the answer comes later, it must get a new message."""


class AnswerFlow(Flow):
    """`fetch_answer` → `register_explanation` → `show_explanation`."""

    queue = answer_poller.QUEUE
    payload = AnswerPayload
    # The text belongs in the exam system and in FS only. The fingerprint is enough to see a change.
    dropped_results = ("fetch_answer.result.text",)

    def __init__(
        self,
        institutions: InstitutionRegister,
        clients: Clients,
        cases: Cases,
        accept: Callable[[Sequence[NewMessage]], object],
        asked: Callable[[str], frozenset[MessageStatus]],
    ) -> None:
        """`accept` puts messages into the inbox. `asked` returns the statuses of the request messages of a case."""
        self._institutions = institutions
        self._clients = clients
        self._cases = cases
        self._accept = accept
        self._asked = asked
        self._identities = IdentityCheck(clients, cases)

    @property
    def steps(self) -> Steps:
        # The answer is stored before it is registered, so after a crash the same text is registered again. Otherwise a newer
        # text might be registered, and nobody would know which text FS got before.
        return (
            Step(FetchedAnswer, self._fetch_answer),
            Step(Registered, self._register_explanation),
            Step(Shown, self._show_explanation),
        )

    def prefetch(self, messages: Sequence[Message]) -> None:
        prefetched_case.read(messages, self._cases)

    def audit_fields(self, message: Message) -> dict[str, Any]:
        payload = message.payload
        return {
            **NO_COLUMNS,
            "vurdId": payload.get("vurdId"),
            "kandidatnr": payload.get("kandidatnr"),
            "personlopenr": payload.get("personlopenr"),
            "testId": payload.get("flowId"),
        }

    def apply_to_cases(self, messages: Sequence[Message]) -> None:
        self._cases.advance([advance for message in messages for advance in _advances(message)])
        gone = [message.payload.get("caseId") for message in messages if _outcome(message) in (REMOVED, FINISHED)]
        if gone:
            self._cases.withdraw(gone)

    def set_aside(self, message: Message, error: CaseError) -> None:
        self._cases.set_aside(message.payload.get("caseId"), error.code)

    def on_lease_lost(self, message: Message) -> None:
        """Register the newest answer again, by a new message, if an older one may have replaced it.

        FS does not know our fences: a registration that took too long may have overwritten a newer one.
        """
        case = self._cases.get(AnswerPayload.of(message).case_id)
        if case is not None and case.document.get("registeredBy") not in (None, message.key):
            logger.warning(
                "case %s: a late registration reached FS; the newest is registered again", case.correlation_id
            )
            self._accept([_repair(message)])

    def _fetch_answer(self, message: Message) -> FetchedAnswer | Last:
        institution, case = self._institution(message), self._case(message)
        if not _has_request_of(message, case):
            return Last(Ended(outcome=SUPERSEDED))
        try:
            answer = self._answer(institution, message, case)
        except AnswerTakenBackError:
            if (outcome := self._outcome_without_answer(institution, message, case)) is None:
                raise
            return Last(Ended(outcome=outcome))
        except AnotherCandidatesRequestError:
            if not self._is_searched_again(institution, message, case):
                raise
            return Last(Ended(outcome=SUPERSEDED))
        # The check comes before the text is stored: a text that FS cannot take may also be too large for a document.
        self._clients.student_registry(institution).check_text(answer.text)
        found = FetchedAnswer(
            text_hash=fingerprint(answer.text),
            given_at=answer.given_at,
            source=answer.source,
            submission_id=answer.submission_id,
        )
        if case.is_registered_by_another(message.key, found.text_hash) and not AnswerPayload.of(message).repairs:
            return Last(found.model_copy(update={"outcome": UNCHANGED}))
        return found.model_copy(update={"text": answer.text})

    def _answer(self, institution: Institution, message: Message, case: Case) -> ExplanationAnswer:
        payload = AnswerPayload.of(message)
        return self._clients.exam_system(institution).answer(
            payload.flow_id,
            payload.explanation_request_id,
            _candidate(case),
            message.enqueued_at,
            None if payload.repairs else payload.marker,
        )

    def _outcome_without_answer(self, institution: Institution, message: Message, case: Case) -> str | None:
        """The outcome of a message whose answer was taken back, or `None` if the message must wait for the answer.

        A waiting message blocks corrections and the withdrawal of its case, and an assessor who was asked by mistake may never
        submit again. Only such a message makes this check, so other answers cost no further call.
        """
        if not self._asked(case.id).isdisjoint(UNFINISHED):
            return SUPERSEDED
        if AnswerPayload.of(message).is_looked_for:
            return UNANSWERED
        try:
            row = current_row(
                self._clients.student_registry(institution), case.document["vurdId"], case.document["personlopenr"]
            )
        except TransientError:
            return None  # wait; the next attempt asks FS again
        if row is None:
            return REMOVED
        return FINISHED if row.request.finished_in_fs and case.state.value in OPEN else None

    def _register_explanation(self, message: Message) -> Registered | Last:
        """Read both FS and the exam system again, then register: the student or the participant may have been corrected."""
        institution, case, answer = self._institution(message), self._case(message), FetchedAnswer.of(message)
        if not _has_request_of(message, case):
            return Last(Ended(outcome=SUPERSEDED))  # a replay starts here, maybe after a correction
        if case.has_newer_answer(message.enqueued_at, answer.given_at, message.started_at):
            return Last(Ended(outcome="overtaken"))
        registry = self._clients.student_registry(institution)
        row = current_row(registry, case.document["vurdId"], case.document["personlopenr"])
        if row is None:
            return Last(Ended(outcome=REMOVED))
        if not self._is_same(message, case, row, answer.submission_id):
            return Last(Ended(outcome=SUPERSEDED))
        whose = identity_of(row.request, institution.realm)
        if row.request.finished_in_fs and row.text is not None and fingerprint(row.text) == answer.text_hash:
            known = case.is_registered_by_another(message.key, answer.text_hash)
            return self._registered(message, UNCHANGED if known else REGISTERED, whose)
        if answer.text is None:
            raise unreadable(["steps.fetch_answer.result.text"])
        registry.register_explanation(
            ExplanationRegistration(
                vurd_id=row.request.vurd_id,
                personlopenr=row.request.personlopenr,
                kandidatnr=row.request.kandidatnr,
                kommisjons_id=row.request.kommisjons_id,
                # The three weeks for an appeal start on this day: the day of the answer, not the day of the registration.
                communicated_on=answer.given_at.astimezone(OSLO).date(),
                text=answer.text,
            )
        )
        if AnswerPayload.of(message).reopened:
            self._check_kept(institution, case)
        return self._registered(message, REGISTERED, whose)

    def _registered(self, message: Message, outcome: str, whose: dict[str, str]) -> Registered | Last:
        registered = Registered(outcome=outcome, registered_for=whose)
        return registered if self._wants_to_show(message) else Last(registered)

    def _check_kept(self, institution: Institution, case: Case) -> None:
        """Read the row again after a repeated registration.

        Raises `PermanentError` `fs.not_kept` if FS accepted the explanation and still shows the request as open.
        """
        registry = self._clients.student_registry(institution)
        row = current_row(registry, case.document["vurdId"], case.document["personlopenr"])
        if row is not None and not row.request.finished_in_fs:
            raise PermanentError(
                "fs.not_kept",
                f"FS took the explanation for {exam_name(case.document['vurdId'])} twice and shows the request as open all the "
                "same.",
                "Ask the FS team with the case id why it stays open, or register the explanation in FS by hand; then replay "
                "the message.",
                system="FS",
            )

    def _is_same(self, message: Message, case: Case, row: CurrentRow, submission_id: str | None = None) -> bool:
        """Whether the participant is the person of the row.

        `False` means that the participant is another one, and that a request message of the case is on its way. That message
        finds the right participant when this one has ended, and a later poll finds the answer. A replay creates the request
        message itself, because a correction in the exam system changes no row in FS.

        Raises `PermanentError` if the identities contradict each other and there is no such message. Raises `NotReadyError`
        if no poll has read a correction of the row yet.
        """
        institution = self._institution(message)
        try:
            self._identities.check(institution, case, row, _candidate(case), submission_id)
        except PermanentError as error:
            if not (error.code in IDENTITY or has_moved(error)) or row.request.finished_in_fs:
                raise  # for a finished row no new request is made
            check_correction_read(self._cases, case, row)
            anew = message.generation > 1 and has_moved(error)
            if not self._is_requested_again(institution, case, row, anew=anew):
                raise
            return False
        return True

    def _is_searched_again(self, institution: Institution, message: Message, case: Case) -> bool:
        """Whether this message, as a replay, starts a new search because the request belongs to another participant."""
        if message.generation == 1:
            return False
        document = case.document
        row = current_row(self._clients.student_registry(institution), document["vurdId"], document["personlopenr"])
        if row is None or row.request.finished_in_fs:
            return False
        check_correction_read(self._cases, case, row)
        return self._is_requested_again(institution, case, row, anew=True)

    def _is_requested_again(self, institution: Institution, case: Case, row: CurrentRow, *, anew: bool) -> bool:
        """Whether a request message of the case is on its way, after creating one for the current row if there was none.

        With `anew`, the created message has a new revision. Without it, the message is the same one that the reader of a
        correction may be about to write. If a request message is dead, no other is created: it would end in the same way, so the
        dead one must be replayed.
        """
        statuses = self._asked(case.id)
        if not statuses.isdisjoint(UNFINISHED):
            return True
        if MessageStatus.DEAD in statuses:
            return False
        now = self._cases.get(case.id) or case
        if anew:
            now = self._cases.renew(now)
            logger.info("case %s: its participant is looked for again", case.correlation_id)
        self._accept([request_message(institution, row.request, {case_id(institution, row.request): now})])
        return not self._asked(case.id).isdisjoint(UNFINISHED)

    def _show_explanation(self, message: Message) -> Shown:
        institution, case = self._institution(message), self._case(message)
        if not self._wants_to_show(message):
            return Shown(outcome="the institution does not show answers")
        if message.steps[Registered.step].fence != message.fence:
            # An earlier attempt registered the answer, maybe days ago.
            document = case.document
            row = current_row(self._clients.student_registry(institution), document["vurdId"], document["personlopenr"])
            if row is None or not _has_request_of(message, case) or not self._is_same(message, case, row):
                return Shown(outcome=SUPERSEDED)
        payload = AnswerPayload.of(message)
        self._clients.exam_system(institution).show_explanation(payload.flow_id, payload.explanation_request_id)
        return Shown(shown=True)

    def _wants_to_show(self, message: Message) -> bool:
        return self._clients.exam_system(self._institution(message)).shows_answers

    def _institution(self, message: Message) -> Institution:
        return institution_of(message, self._institutions)

    def _case(self, message: Message) -> Case:
        case = prefetched_case.of(message, AnswerPayload.of(message).case_id, self._cases)
        if case is None:
            raise case_missing("answer")
        return case


def fingerprint(text: str) -> str:
    """The SHA-256 of a text. It shows whether two texts are the same without storing them."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _has_request_of(message: Message, case: Case) -> bool:
    """Whether the case still has the message's explanation request. After a correction it may have another one."""
    return case.explanation_request_id in (None, AnswerPayload.of(message).explanation_request_id)


def _outcome(message: Message) -> str | None:
    """The outcome of the message, from the first step that has one."""
    steps = (message.steps.get(name) for name in (FetchedAnswer.step, Registered.step))
    return next((done.result["outcome"] for done in steps if done and done.result.get("outcome")), None)


def _advances(message: Message) -> Iterator[CaseAdvance]:
    case_id = message.payload.get("caseId")
    if not is_text(case_id):
        return  # casebridge did not write this message, and it has no case
    registration = Registered.found_in(message)
    if registration and registration.outcome == REGISTERED and FetchedAnswer.step in message.steps:
        found = FetchedAnswer.of(message)
        yield CaseAdvance.registered(
            case_id, found.text_hash, message.enqueued_at, found.given_at, message.key, message.steps[Registered.step].at,
            AnswerPayload.of(message).version, registration.registered_for,
        )  # fmt: skip
    if _outcome(message) in LEFT:
        yield CaseAdvance.answer_left(case_id, max(step.at for step in message.steps.values()))
    showing = Shown.found_in(message)
    if showing and showing.shown:
        yield CaseAdvance.shown(case_id, message.steps[Shown.step].at)


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
            "Look with `casebridge where` what became of the case's request; replay that first, then this message.",
        )
    return candidate
