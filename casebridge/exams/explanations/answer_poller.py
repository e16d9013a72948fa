"""The source of answers: it polls the exam system and puts the answers that it finds into the inbox.

One call for each flow lists all explanation requests of the flow. An answer is accepted once for each `marker`. The marker
changes when the answer may have changed. The fetch of the answer decides by a fingerprint whether the text did change.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final, TypeVar

from pymongo.errors import PyMongoError

from casebridge import time_limit
from casebridge.clock import Clock
from casebridge.database import Document
from casebridge.defect import as_case_error
from casebridge.errors import AuthBrokenError, CaseError, NotReadyError, PermanentError
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.case_state import CaseState
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.external_id import external_id, in_order
from casebridge.exams.models import ExplanationState, ExplanationStatus
from casebridge.exams.ports import Clients
from casebridge.fingerprint import short_hash
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import NewMessage
from casebridge.readable_documents import check_kinds, name_of, readable
from casebridge.sources.polling import Polling, PollOutcome
from casebridge.sources.watermarks import Watermarks
from casebridge.time_limit import TimeLimit

SUBMODULE: Final = "wiseflow-begrunnelse-poll"
QUEUE: Final = "wiseflow-begrunnelse-svar"
LEFT: Final = "case.flow_left"
REGISTERED: Final = (CaseState.REGISTERED, CaseState.SHOWN)
FLOWS_AT_ONCE: Final = 6
NAMED_CASES: Final = 20
READ_ALONE: Final = 200
"""How many answers of an institution one reconciliation reads one by one, because the lists do not show their texts."""
Read = TypeVar("Read")
Request = tuple[str, str | None]
"""The id of a flow and the id of an explanation request on it, both from the exam system."""
NEEDED: Final = ("correlationId", "flowId", "explanationRequestId", "vurdId", "personlopenr", "kandidatnr")
"""The fields that a case needs while it waits for its answer."""
KINDS: Final = {"correlationId": str, "vurdId": str, "personlopenr": int, "kandidatnr": int}
"""The types of the needed fields. Ids of the exam system are checked separately."""


class AnswerPoller:
    """Polls the exam system. It only puts messages into the inbox, so several may run at once."""

    def __init__(
        self,
        clients: Clients,
        queue: MeldingQ,
        cases: Cases,
        watermarks: Watermarks,
        polling: Polling,
        clock: Clock,
        watch: timedelta,
    ) -> None:
        self._clients = clients
        self._queue = queue
        self._cases = cases
        self._polling = polling
        self._clock = clock
        self._watch = watch
        self._watermarks = watermarks

    def poll(
        self, institutions: Sequence[Institution], *, also_answered: bool = False, budget_seconds: float | None = None
    ) -> list[PollOutcome]:
        """Look for answers to open cases. With `also_answered` (the reconciliation), also for changes of answers that FS has."""
        return self._polling.each(
            institutions,
            SUBMODULE,
            lambda institution: self._poll(institution, also_answered=also_answered),
            self._watermarks.note_failed_read,
            budget_seconds,
        )

    def _poll(self, institution: Institution, *, also_answered: bool) -> PollOutcome:
        watched_since = self._clock.now() - self._watch if also_answered else None
        found = self._cases.awaiting_answer(institution.key, watched_since)
        outcome = self._poll_documents(institution, found, one_by_one=also_answered)
        if found:
            self._watermarks.recovered(institution)
        return outcome

    def poll_flow(self, institution: Institution, flow_id: str) -> PollOutcome:
        """Look for new and changed answers on one flow at once, because an event named the flow.

        Raises `CaseError`. The caller tries again.
        """
        watched_since = self._clock.now() - self._watch
        return self._poll_documents(institution, self._cases.awaiting_answer(institution.key, watched_since, flow_id))

    def _poll_documents(
        self, institution: Institution, found: Sequence[Document], *, one_by_one: bool = False
    ) -> PollOutcome:
        """Poll for these case documents.

        Raises `CaseError` if some cannot be read, but only after the others were polled.
        """
        documents = [document for document in found if institution.has(document)]
        unreadable_documents: list[Document] = []
        cases = readable(documents, _to_be_polled, unreadable_documents)
        outcome = self._poll_cases(institution, cases, one_by_one=one_by_one) if cases else PollOutcome(institution.key)
        if unreadable_documents:
            raise _unreadable([name_of(document) for document in unreadable_documents])
        return outcome

    def _poll_cases(self, institution: Institution, cases: Sequence[Case], *, one_by_one: bool) -> PollOutcome:
        """Poll for these cases. With `one_by_one`, also read answers one by one if the lists do not show their texts."""
        flow_ids = in_order({_flow_of(case) for case in cases})
        statuses, failures = self._statuses(institution, flow_ids)
        by_request = {(status.flow_id, status.explanation_request_id): status for status in statuses}
        if one_by_one:
            by_request |= self._read_one_by_one(institution, cases, by_request)
        answered, unknown, hidden, now = [], [], [], self._clock.now()
        # This loops over cases, not requests: two cases may have the same request. Before FS gets the answer, the flow checks
        # for each case whose answer it is.
        for case in cases:
            flow_id = _flow_of(case)
            status = by_request.get((flow_id, case.explanation_request_id))
            if status is not None and status.state is ExplanationState.UNKNOWN:
                unknown.append(status)
            elif status is not None and status.state is ExplanationState.UNREADABLE and case.state in REGISTERED:
                hidden.append(status)
            elif status is not None and _is_ready(status, case):
                is_unreadable = status.state is ExplanationState.UNREADABLE
                answered.append(answer_message(institution, case, status.marker, now if is_unreadable else None))
            elif status is None and case.state is CaseState.DISPATCHED and _is_gone(failures.get(flow_id)):
                answered.append(answer_message(institution, case, None, now))
        correlation_ids = {message.key: message.correlation_id for message in answered}
        accepted = tuple(correlation_ids[key] for key in self._queue.accept(answered))
        if failed := {key: error for key, error in failures.items() if not _is_gone(error) and error.code != LEFT}:
            raise self._error_of_flows(institution, failed)
        nameless = [status for status in statuses if status.explanation_request_id is None]
        if not_followed := self._clients.exam_system(institution).not_followed(unknown, nameless, hidden):
            raise not_followed
        return PollOutcome(
            institution.key,
            seen=len(statuses),
            accepted=accepted,
            known=len(answered) - len(accepted),
            counts={
                "flows": len(flow_ids),
                "awaiting": len(cases),
                "unreadable": sum(status.state is ExplanationState.UNREADABLE for status in statuses),
            },
        )

    def _statuses(
        self, institution: Institution, flow_ids: list[str]
    ) -> tuple[list[ExplanationStatus], dict[str, CaseError]]:
        """Read the requests of all flows in parallel. The second value has the errors by flow id; they stop no other flow."""
        exam_system = self._clients.exam_system(institution)
        statuses: list[ExplanationStatus] = []
        failures: dict[str, CaseError] = {}
        limit = time_limit.current()
        # The order is random. If the time is too short, other flows are left out each time.
        order = random.sample(flow_ids, len(flow_ids))
        with ThreadPoolExecutor(FLOWS_AT_ONCE, thread_name_prefix="flow") as pool:
            results = pool.map(lambda flow_id: _guarded(lambda: exam_system.explanations(flow_id), limit), order)
            for flow_id, result in zip(order, results, strict=True):
                if isinstance(result, CaseError):
                    failures[flow_id] = result
                else:
                    statuses.extend(result)
        return statuses, failures

    def _read_one_by_one(
        self, institution: Institution, cases: Sequence[Case], listed: Mapping[Request, ExplanationStatus]
    ) -> dict[Request, ExplanationStatus]:
        """Read answers one by one that FS has and whose texts the lists do not show. Only this shows that they changed.

        The number for each call is bounded; the answers are chosen at random. An answer that cannot be read is not in the
        result, so what the list says of it stays.
        """
        registered = {(_flow_of(case), case.explanation_request_id) for case in cases if case.registered_hash}
        without_text = [
            (flow_id, number)
            for flow_id, number in sorted(registered & listed.keys(), key=str)
            if number is not None and listed[flow_id, number].needs_own_read
        ]
        if not without_text:
            return {}
        exam_system, limit = self._clients.exam_system(institution), time_limit.current()
        chosen = random.sample(without_text, min(len(without_text), READ_ALONE))
        with ThreadPoolExecutor(FLOWS_AT_ONCE, thread_name_prefix="request") as pool:
            results = pool.map(lambda one: _guarded(lambda: exam_system.explanation(*one), limit), chosen)
            return {
                one: result for one, result in zip(chosen, results, strict=True) if not isinstance(result, CaseError)
            }

    def _error_of_flows(self, institution: Institution, failures: Mapping[str, CaseError]) -> CaseError:
        """The first of the errors, with the names of the failed exams. Refused credentials come before all other errors."""
        error = next(
            (one for one in failures.values() if isinstance(one, AuthBrokenError)), next(iter(failures.values()))
        )
        return error.of(self._clients.exam_system(institution).exams_named(in_order(failures)))


def _guarded(read: Callable[[], Read], limit: TimeLimit | None) -> Read | CaseError:
    """Call `read`. An error of any kind is returned, so that it does not stop the other reads."""
    if limit is not None and limit.is_late:
        return _no_time()
    try:
        with time_limit.within(limit):
            return read()
    except PyMongoError:
        raise
    except BaseException as error:  # noqa: BLE001 see above
        case_error = as_case_error(error)
        return _no_time() if limit is not None and limit.is_over else case_error


def _no_time() -> CaseError:
    """The error of a flow that was not read because the time was over. The next poll reads it."""
    return NotReadyError(LEFT, "The time of the poll was over.", "Wait: the next poll looks there.")


def _to_be_polled(document: Document) -> Case:
    """Raises if a field is missing that the message of an answer needs."""
    check_needed(document)
    return Case.from_document(document)


def check_needed(document: Document) -> None:
    """Raises if one of the `NEEDED` fields is absent or has the wrong type."""
    check_kinds(document, KINDS)
    external_id(document.get("flowId"))
    external_id(document.get("explanationRequestId"))


def _flow_of(case: Case) -> str:
    return external_id(case.document["flowId"])


def _unreadable(names: Sequence[str]) -> PermanentError:
    named = ", ".join(names[:NAMED_CASES]) + (f" and {len(names) - NAMED_CASES} more" if names[NAMED_CASES:] else "")
    return PermanentError(
        "casebridge.case_unreadable",
        f"{len(names)} cases that wait for an answer cannot be read: a field is missing, or not what it must be, in {named}.",
        f"Find them by these correlation ids, the rest among the dispatched cases of the institution, in oai.begrunnelser and "
        f"correct {', '.join(NEEDED)}; the other cases go on, and who is left is named then.",
    )


def _is_gone(failure: CaseError | None) -> bool:
    """Whether a request that is not listed counts as gone: its flow was read, or is refused for good.

    A message of the case then reads the request by itself. If the request is gone, the message is set aside with the case's name.
    """
    return failure is None or isinstance(failure, PermanentError)


def _is_ready(status: ExplanationStatus, case: Case) -> bool:
    """Whether the request may have an answer.

    A request that cannot be read in the list may have one. A message of the case then reads it by itself, and is set aside if
    that fails, too.
    """
    if status.state is ExplanationState.UNREADABLE:
        return case.state is CaseState.DISPATCHED
    return status.state is ExplanationState.READY


def answer_message(
    institution: Institution, case: Case, marker: str | None, looked_for_at: datetime | None = None
) -> NewMessage:
    """The message of an answer. Without `marker`, the request is no longer listed, and the message looks for the request itself.

    `looked_for_at` is given if the list did not show the state of the request. The message then reads the request by itself. If
    there is no answer, the message ends, and a poll makes a new one at most once an hour.
    """
    document = case.document
    version = _version(case, marker, looked_for_at)
    return NewMessage(
        key=_key(case, version),
        queue=QUEUE,
        org_id=institution.org_id,
        env=institution.env,
        exam_system=institution.exam_system,
        ordering_key=case.id,
        correlation_id=case.correlation_id,
        payload={
            "caseId": case.id,
            "flowId": document["flowId"],
            "explanationRequestId": document["explanationRequestId"],
            "marker": marker,
            "version": version,
            **({"lookedFor": True} if looked_for_at else {}),
            "vurdId": document["vurdId"],
            "personlopenr": document["personlopenr"],
            "kandidatnr": document["kandidatnr"],
        },
    )


def registered_version(case: Case) -> str | None:
    """The version of the answer that FS has. An earlier release used the version as the message key (`registeredBy`)."""
    version: str | None = case.document.get("registeredVersion") or case.document.get("registeredBy")
    return version


def changes_of(case: Case) -> list[object]:
    """The parts of an answer's version that make a known answer new, so that it gets another message.

    - The row was corrected in FS: the assessor may have been asked again with the same request.
    - The row was gone from FS and came back: an earlier message found no row to register the answer for.
    - A message ended without its answer.
    """
    document = case.document
    changes: list[object] = [case.revision] if case.revision else []
    return changes + [document[name] for name in ("withdrawnAt", "answerLeftAt") if document.get(name)]


def _version(case: Case, marker: str | None, looked_for_at: datetime | None) -> str:
    changes = changes_of(case)
    if looked_for_at and case.document.get("answerLeftAt"):
        # The list may not show it for a long time. Not every poll may make a new message, only one an hour.
        changes[-1] = f"{looked_for_at:%Y-%m-%dT%H}"
    return short_hash(QUEUE, case.id, case.document["explanationRequestId"], marker or "not listed", *changes)


def _key(case: Case, version: str) -> str:
    """The key of the message of this version. An answer may be changed back to an earlier version.

    So if FS has another version, the key also names the message that registered that one.
    """
    registered_by = case.document.get("registeredBy")
    if registered_by is None:
        return version
    return str(registered_by) if version == registered_version(case) else short_hash(version, registered_by)
