"""The way there: a request from FS becomes a request to the assessor in the exam system, step by step."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from casebridge.errors import CaseError, NotReadyError, PermanentError
from casebridge.exams.deadlines import answer_deadline
from casebridge.exams.explanations import prefetched_case, request_reader
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.case_advance import CaseAdvance
from casebridge.exams.explanations.case_state import CaseState
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.current_row import CurrentRow, current_row
from casebridge.exams.explanations.identity_check import IdentityCheck
from casebridge.exams.explanations.moved_deadlines import MovedDeadlines
from casebridge.exams.fs_rows import UnreadableRow, read_row, told_fields
from casebridge.exams.models import CandidatePlace, ExamPlace, ExplanationRequest
from casebridge.exams.ports import Clients
from casebridge.institutions.institution import Institution
from casebridge.institutions.register import InstitutionRegister
from casebridge.messaging.flow.flow import Result, Step, StepResult
from casebridge.messaging.queue.malformed_documents import check_payload
from casebridge.messaging.queue.message import UNKNOWN, Message
from casebridge.sources.record_flow import kafka_fields
from casebridge.tenant import normal_institution

REQUESTED: Final = "request_explanation"
FINISHED: Final = "finished in FS by hand"
REMOVED: Final = "removed in FS"
PART_MISSING: Final = "fs.source_code_part_missing"
MOVED: Final = frozenset({"identity.contradiction", "wiseflow.participant_unknown"})
"""What a participant brings out who is another by now, or not there any more."""
SUPERSEDED: Final = "superseded"
"""The outcome of a message that is not its case's newest: a later one carries what FS says now."""


class RequestFlow:
    """`find_exam` → `find_candidate` → `request_explanation`."""

    queue = request_reader.QUEUE
    dropped_results: tuple[str, ...] = ()

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
    def steps(self) -> tuple[Step, ...]:
        return (
            Step("find_exam", self._find_exam, read_only=True),
            Step("find_candidate", self._find_candidate, read_only=True),
            Step(REQUESTED, self._request_explanation),
        )

    def prefetch(self, messages: Sequence[Message]) -> None:
        prefetched_case.read(messages, self._cases)

    def audit_fields(self, message: Message) -> dict[str, Any]:
        request = message.payload.get("request", {})
        place = message.steps.get("find_candidate")
        return {
            "vurdId": request.get("examId"),
            "kandidatnr": request.get("kandidatnr"),
            "personlopenr": request.get("personlopenr"),
            "userCandidateId": place.result.get("participantId") if place else None,
            "testId": place.result.get("flowId") if place else None,
            **kafka_fields(message),
        }

    def apply_to_cases(self, messages: Sequence[Message]) -> None:
        advances = {message.key: self._dispatched(message) for message in messages if _was_requested(message)}
        self._moved_deadlines.alert(
            [
                advances[one.key]
                for one in messages
                if one.key in advances and not one.steps[REQUESTED].result["created"]
            ]
        )
        self._cases.advance(list(advances.values()))
        gone = [message.payload.get("caseId") for message in messages if _outcome(message) in (REMOVED, FINISHED)]
        if gone:
            self._cases.withdraw(gone)

    def _dispatched(self, message: Message) -> CaseAdvance:
        done = message.steps[REQUESTED]
        request = _request(message)
        told = done.result.get("deadline")
        return CaseAdvance.dispatched(
            message.payload["caseId"],
            request,
            _candidate(done.result if "participantId" in done.result else message.steps["find_candidate"].result),
            done.result["explanationRequestId"],
            date.fromisoformat(told) if told else self._deadline(request),
            done.at,
        )

    def set_aside(self, message: Message, error: CaseError) -> None:
        self._cases.set_aside(message.payload.get("caseId"), error.code)

    def on_lease_lost(self, message: Message) -> None:
        """Nothing to mend: WISEflow takes a request once, whoever asks last."""

    def _find_exam(self, message: Message, _results: Mapping[str, Result]) -> StepResult:
        request = _request(message)
        if outcome := self._overtaken(message, request):
            return StepResult({"outcome": outcome}, last=True)
        institution = self._institution(message)
        try:
            place = self._find(institution, request)
        except PermanentError as error:
            if error.code != PART_MISSING:
                raise
            # FS may send by now what it did not send then; it is not of the row's version.
            row = current_row(self._clients.student_registry(institution), request.vurd_id, request.personlopenr)
            if row is None:
                return StepResult({"outcome": REMOVED}, last=True)  # the read that sees it withdraws the case
            place = self._find(institution, row.request)
        return StepResult({"flowId": place.flow_id, "subFlowIds": list(place.sub_flow_ids)})

    def _find(self, institution: Institution, request: ExplanationRequest) -> ExamPlace:
        return self._clients.exam_system(institution).find_exam(
            request.exam, vurderingsordning=request.vurderingsordning, tid=request.tid
        )

    def _find_candidate(self, message: Message, results: Mapping[str, Result]) -> StepResult:
        institution, request, found = self._institution(message), _request(message), results["find_exam"]
        if outcome := self._overtaken(message, request):  # a replay begins here, maybe long after the exam was found
            return StepResult({"outcome": outcome}, last=True)
        place = ExamPlace(found["flowId"], tuple(found["subFlowIds"]))
        person = request.person(institution.realm)
        candidate = self._clients.exam_system(institution).find_candidate(place, person)
        return StepResult(_place(candidate))

    def _request_explanation(self, message: Message, results: Mapping[str, Result]) -> StepResult:
        """Nobody is asked before both ends were looked at again: a correction may have come since the message did."""
        institution, request = self._institution(message), _request(message)
        row = current_row(self._clients.student_registry(institution), request.vurd_id, request.personlopenr)
        if row is None or row.request.finished_in_fs:
            return StepResult({"outcome": REMOVED if row is None else FINISHED}, last=True)
        if (row.request.kandidatnr, row.request.brukernavn) != (request.kandidatnr, request.brukernavn):
            check_correction_read(self._cases, self._case(message), row)
            return StepResult({"outcome": SUPERSEDED}, last=True)
        candidate = self._checked(institution, self._case(message), row, results)
        deadline = self._deadline(row.request)
        requested = self._clients.exam_system(institution).request_explanation(candidate, deadline)
        return StepResult(
            {
                **_place(candidate),
                "explanationRequestId": requested.explanation_request_id,
                "created": requested.created,
                "shown": requested.shown,
                "deadline": deadline.isoformat(),
            }
        )

    def _checked(
        self, institution: Institution, case: Case, row: CurrentRow, results: Mapping[str, Result]
    ) -> CandidatePlace:
        """The participant, as both ends are now. Where a kept list led to another one, it is looked for in a fresh list, once."""
        candidate = _candidate(results["find_candidate"])
        try:
            self._identities.check(institution, case, row, candidate)
        except PermanentError as error:
            if error.code not in MOVED:
                raise
            found, person = results["find_exam"], row.request.person(institution.realm)
            place = ExamPlace(found["flowId"], tuple(found["subFlowIds"]))
            now = self._clients.exam_system(institution).find_candidate(place, person, anew=True)
            if now == candidate:
                raise
            self._identities.check(institution, case, row, now)
            return now
        return candidate

    def _overtaken(self, message: Message, request: ExplanationRequest) -> str | None:
        """Why the message is not its case's newest, as far as we know without asking FS."""
        case = prefetched_case.of(message, self._cases)
        if request.finished_in_fs or (case is not None and case.state is CaseState.WITHDRAWN):
            return FINISHED
        if case is not None and case.version not in (None, request.version):
            return SUPERSEDED
        return None

    def _deadline(self, request: ExplanationRequest) -> date:
        return answer_deadline(request.dato_klage_mottatt, request.frist, self._deadline_days)

    def _case(self, message: Message) -> Case:
        case = prefetched_case.of(message, self._cases)
        if case is None:
            raise case_missing("request")
        return case

    def _institution(self, message: Message) -> Institution:
        return institution_of(message, self._institutions)


def institution_of(message: Message, institutions: InstitutionRegister) -> Institution:
    """The institution that a message belongs to. Raises `PermanentError` when it is no longer carried."""
    institution = institutions.get(message.institution, message.exam_system)
    if institution is None:
        # A name that is configured nowhere came from outside, and may be anything.
        is_named = normal_institution(message.institution) in institutions.names().institutions
        raise PermanentError(
            "institution.inactive",
            f"{message.institution if is_named else 'The institution of a message'} is not active in configDB.orgs and "
            "oai.KlageBegrunnelseEnvs on the message's exam system, or cannot be read there.",
            "Activate it (docs/adding-an-institution.md), then replay the message.",
        )
    return institution


def _unreadable(fields: str) -> PermanentError:
    return PermanentError(
        "fs.row_unreadable",
        f"FS sent a request that lacks or misstates: {fields}.",
        "Have the row corrected in FS: the corrected one comes by itself; then discard this one. The raw row is in the message.",
        system="FS",
    )


def case_missing(what: str) -> PermanentError:
    """The case of a message is gone."""
    return PermanentError(
        "casebridge.case_missing",
        f"The case of this {what} is not in oai.begrunnelser.",
        "Restore the collection from its backup, then replay the message.",
    )


def _outcome(message: Message) -> str | None:
    done = message.steps.get(REQUESTED)
    return done.result.get("outcome") if done else None


def _was_requested(message: Message) -> bool:
    return REQUESTED in message.steps and _outcome(message) is None


def check_correction_read(cases: Cases, case: Case, row: CurrentRow) -> None:
    """FS's row was changed since the case's message was made: whether that change was read, and has a message of its own.

    Not before that is a message superseded: the row may be changed back, and then nothing new would ever come. Raises
    `NotReadyError` `case.correction_unread`.
    """
    version = row.request.version
    if case.version != version and ((now := cases.get(case.id)) is None or now.version != version):
        raise NotReadyError(
            "case.correction_unread",
            "FS shows the request otherwise than when it was read last.",
            "Nothing to do unless it lasts: the next poll of FS reads the change, and this message goes on by what it says.",
            system="FS",
        )


def _place(candidate: CandidatePlace) -> Result:
    return {
        "flowId": candidate.flow_id,
        "participantId": candidate.participant_id,
        "submissionId": candidate.submission_id,
    }


def _candidate(found: Result) -> CandidatePlace:
    """What `find_candidate` came to."""
    return CandidatePlace(found["flowId"], found["participantId"], found["submissionId"])


def _request(message: Message) -> ExplanationRequest:
    """The request in the message. Raises `PermanentError` for a row that FS sent in a form that nobody can read."""
    if "unreadable" in message.payload:
        raise _unreadable(told_fields(str(message.payload.get("fields", UNKNOWN))))
    check_payload(message, {"caseId": str, "request": dict})
    request = read_row(message.payload["request"])
    if isinstance(request, UnreadableRow):
        raise _unreadable(request.fields)
    return request
