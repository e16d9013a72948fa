"""The flow of requests: it carries a request from FS to the assessor in the exam system."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from casebridge.errors import CaseError, NotReadyError, PermanentError
from casebridge.exams.deadlines import answer_deadline
from casebridge.exams.explanations import prefetched_case, request_reader
from casebridge.exams.explanations.audit_columns import NO_COLUMNS
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.case_advance import CaseAdvance
from casebridge.exams.explanations.case_state import CaseState
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.current_row import CurrentRow, current_row
from casebridge.exams.explanations.identity_check import IdentityCheck
from casebridge.exams.explanations.moved_deadlines import MovedDeadlines
from casebridge.exams.explanations.request_steps import FoundCandidate, FoundExam, Requested, RequestPayload
from casebridge.exams.identity import CONTRADICTION
from casebridge.exams.models import CandidatePlace, ExamPlace, ExplanationRequest
from casebridge.exams.ports import CandidateGoneError, Clients, ExamPartMissingError
from casebridge.institutions.institution import Institution
from casebridge.institutions.register import InstitutionRegister
from casebridge.messaging.flow.flow import Flow
from casebridge.messaging.flow.step import Ended, Last, Step, Steps
from casebridge.messaging.queue.message import Message
from casebridge.sources.record_flow import kafka_fields
from casebridge.tenant import normal_institution

FINISHED: Final = "finished in FS by hand"
REMOVED: Final = "removed in FS"
SUPERSEDED: Final = "superseded"
"""The outcome of a message that is not the newest of its case. A later message has what FS says now."""


class RequestFlow(Flow):
    """`find_exam` → `find_candidate` → `request_explanation`."""

    queue = request_reader.QUEUE
    payload = RequestPayload

    def __init__(
        self,
        institutions: InstitutionRegister,
        clients: Clients,
        cases: Cases,
        deadline_days: int,
        moved_deadlines: MovedDeadlines,
    ) -> None:
        self._institutions = institutions
        self._clients = clients
        self._cases = cases
        self._identities = IdentityCheck(clients, cases)
        self._deadline_days = deadline_days
        self._moved_deadlines = moved_deadlines

    @property
    def steps(self) -> Steps:
        return (
            Step(FoundExam, self._find_exam, read_only=True),
            Step(FoundCandidate, self._find_candidate, read_only=True),
            Step(Requested, self._request_explanation),
        )

    def prefetch(self, messages: Sequence[Message]) -> None:
        prefetched_case.read(messages, self._cases)

    def audit_fields(self, message: Message) -> dict[str, Any]:
        request = message.payload.get("request", {})
        place = message.steps.get(FoundCandidate.step)
        return {
            **NO_COLUMNS,
            "vurdId": request.get("examId"),
            "kandidatnr": request.get("kandidatnr"),
            "personlopenr": request.get("personlopenr"),
            "userCandidateId": place.result.get("participantId") if place else None,
            "testId": place.result.get("flowId") if place else None,
            **kafka_fields(message),
        }

    def apply_to_cases(self, messages: Sequence[Message]) -> None:
        asked = [message for message in messages if _was_requested(message)]
        advances = {message.key: self._dispatched(message) for message in asked}
        self._moved_deadlines.alert([advances[one.key] for one in asked if not Requested.of(one).created])
        self._cases.advance(list(advances.values()))
        gone = [message.payload.get("caseId") for message in messages if _outcome(message) in (REMOVED, FINISHED)]
        if gone:
            self._cases.withdraw(gone)

    def _dispatched(self, message: Message) -> CaseAdvance:
        payload, requested = RequestPayload.of(message), Requested.of(message)
        return CaseAdvance.dispatched(
            payload.case_id,
            payload.request,
            requested.place or FoundCandidate.of(message).place,
            requested.explanation_request_id,
            date.fromisoformat(requested.deadline) if requested.deadline else self._deadline(payload.request),
            message.steps[Requested.step].at,
        )

    def set_aside(self, message: Message, error: CaseError) -> None:
        self._cases.set_aside(message.payload.get("caseId"), error.code)

    def _find_exam(self, message: Message) -> FoundExam | Last:
        request = RequestPayload.of(message).request
        if outcome := self._outcome_if_not_newest(message, request):
            return Last(Ended(outcome=outcome))
        institution = self._institution(message)
        try:
            place = self._find(institution, request)
        except ExamPartMissingError:
            # FS may send the missing part by now. It does not belong to the version of the row, so no new message comes for it.
            row = current_row(self._clients.student_registry(institution), request.vurd_id, request.personlopenr)
            if row is None:
                return Last(Ended(outcome=REMOVED))  # the poll that sees it withdraws the case
            place = self._find(institution, row.request)
        return FoundExam(flow_id=place.flow_id, sub_flow_ids=list(place.sub_flow_ids))

    def _find(self, institution: Institution, request: ExplanationRequest) -> ExamPlace:
        return self._clients.exam_system(institution).find_exam(
            request.exam, vurderingsordning=request.vurderingsordning, tid=request.tid
        )

    def _find_candidate(self, message: Message) -> FoundCandidate | Last:
        institution, request = self._institution(message), RequestPayload.of(message).request
        if outcome := self._outcome_if_not_newest(
            message, request
        ):  # a replay starts here, maybe long after the exam was found
            return Last(Ended(outcome=outcome))
        place, person = FoundExam.of(message).place, request.person(institution.realm)
        return FoundCandidate.at(self._clients.exam_system(institution).find_candidate(place, person))

    def _request_explanation(self, message: Message) -> Requested | Last:
        """Read both FS and the exam system again, then ask: either may have been corrected since the message was made."""
        institution, request = self._institution(message), RequestPayload.of(message).request
        row = current_row(self._clients.student_registry(institution), request.vurd_id, request.personlopenr)
        if row is None or row.request.finished_in_fs:
            return Last(Ended(outcome=REMOVED if row is None else FINISHED))
        if (row.request.kandidatnr, row.request.brukernavn) != (request.kandidatnr, request.brukernavn):
            check_correction_read(self._cases, self._case(message), row)
            return Last(Ended(outcome=SUPERSEDED))
        candidate = self._checked(institution, message, row)
        deadline = self._deadline(row.request)
        requested = self._clients.exam_system(institution).request_explanation(candidate, deadline)
        return Requested(
            flow_id=candidate.flow_id,
            participant_id=candidate.participant_id,
            submission_id=candidate.submission_id,
            explanation_request_id=requested.explanation_request_id,
            created=requested.created,
            shown=requested.shown,
            deadline=deadline.isoformat(),
        )

    def _checked(self, institution: Institution, message: Message, row: CurrentRow) -> CandidatePlace:
        """The participant, checked against FS and the exam system as they are now.

        If a cached list led to a wrong participant, a fresh list is searched once.
        """
        case, candidate = self._case(message), FoundCandidate.of(message).place
        try:
            self._identities.check(institution, case, row, candidate)
        except PermanentError as error:
            if not has_moved(error):
                raise
            place, person = FoundExam.of(message).place, row.request.person(institution.realm)
            now = self._clients.exam_system(institution).find_candidate(place, person, anew=True)
            if now == candidate:
                raise
            self._identities.check(institution, case, row, now)
            return now
        return candidate

    def _outcome_if_not_newest(self, message: Message, request: ExplanationRequest) -> str | None:
        """The outcome of the message if it is not the newest of its case, as far as we know without asking FS; else `None`."""
        case = prefetched_case.of(message, RequestPayload.of(message).case_id, self._cases)
        if request.finished_in_fs or (case is not None and case.state is CaseState.WITHDRAWN):
            return FINISHED
        if case is not None and case.version not in (None, request.version):
            return SUPERSEDED
        return None

    def _deadline(self, request: ExplanationRequest) -> date:
        return answer_deadline(request.dato_klage_mottatt, request.frist, self._deadline_days)

    def _case(self, message: Message) -> Case:
        case = prefetched_case.of(message, RequestPayload.of(message).case_id, self._cases)
        if case is None:
            raise case_missing("request")
        return case

    def _institution(self, message: Message) -> Institution:
        return institution_of(message, self._institutions)


def has_moved(error: CaseError) -> bool:
    """Whether the error says that the participant is now another person in the exam system, or no longer there."""
    return isinstance(error, CandidateGoneError) or error.code == CONTRADICTION


def institution_of(message: Message, institutions: InstitutionRegister) -> Institution:
    """The institution that a message belongs to. Raises `PermanentError` if it is not active."""
    institution = institutions.get(message.institution, message.exam_system)
    if institution is None:
        # A name that is not configured came from outside and may be anything, so it is not shown.
        is_named = normal_institution(message.institution) in institutions.names().institutions
        raise PermanentError(
            "institution.inactive",
            f"{message.institution if is_named else 'The institution of a message'} is not active in configDB.orgs and "
            "oai.KlageBegrunnelseEnvs on the message's exam system, or cannot be read there.",
            "Activate it (docs/adding-an-institution.md), then replay the message.",
        )
    return institution


def case_missing(what: str) -> PermanentError:
    """The error for a message whose case is gone."""
    return PermanentError(
        "casebridge.case_missing",
        f"The case of this {what} is not in oai.begrunnelser.",
        "Restore the collection from its backup, then replay the message.",
    )


def _outcome(message: Message) -> str | None:
    done = message.steps.get(Requested.step)
    return done.result.get("outcome") if done else None


def _was_requested(message: Message) -> bool:
    return Requested.step in message.steps and _outcome(message) is None


def check_correction_read(cases: Cases, case: Case, row: CurrentRow) -> None:
    """Check that a poll has read the current version of FS's row, so that the change has a message of its own.

    Only then may an older message end as superseded. If the row is changed back before a poll reads it, no new message will come.
    Raises `NotReadyError` `case.correction_unread` if no poll has read the version yet.
    """
    version = row.request.version
    if case.version != version and ((now := cases.get(case.id)) is None or now.version != version):
        raise NotReadyError(
            "case.correction_unread",
            "FS shows the request otherwise than when it was read last.",
            "Nothing to do unless it lasts: the next poll of FS reads the change, and this message goes on by what it says.",
            system="FS",
        )
