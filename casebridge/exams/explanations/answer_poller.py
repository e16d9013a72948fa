"""Looks for answers in the exam system and puts them into the inbox: the source of the way back.

One call per flow tells of all its requests. An answer is accepted once for each `marker`, which changes when the answer may have
changed; whether the text really did is decided by its fingerprint when it is fetched.
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
LOOKED_AT_ALONE: Final = 200
"""Answers of an institution that one reconciliation looks at one by one, where the lists do not show their texts."""
Seen = TypeVar("Seen")
Request = tuple[str, str | None]
"""The exam's place and the id of an explanation request, both the exam system's own."""
NEEDED: Final = ("correlationId", "flowId", "explanationRequestId", "vurdId", "personlopenr", "kandidatnr")
"""Of a case that waits for its answer."""
KINDS: Final = {"correlationId": str, "vurdId": str, "personlopenr": int, "kandidatnr": int}
"""Of those that are no ids of the exam system."""


class AnswerPoller:
    """The source that the exam system is. Only feeds the inbox; safe to run side by side with itself."""

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
        """Answers to open cases; with `also_answered`, changes of answers that FS has already (the reconciliation)."""
        return self._polling.each(
            institutions,
            SUBMODULE,
            lambda institution: self._poll(institution, also_answered=also_answered),
            self._watermarks.read_badly,
            budget_seconds,
        )

    def _poll(self, institution: Institution, *, also_answered: bool) -> PollOutcome:
        watched_since = self._clock.now() - self._watch if also_answered else None
        found = self._cases.awaiting_answer(institution.key, watched_since)
        outcome = self._look(institution, found, alone=also_answered)
        if found:
            self._watermarks.recovered(institution)
        return outcome

    def look_at(self, institution: Institution, flow_id: str) -> PollOutcome:
        """Answers on one flow, now, also changed ones: somebody told us that something happened there.

        Raises `CaseError`: whoever was told tries again.
        """
        watched_since = self._clock.now() - self._watch
        return self._look(institution, self._cases.awaiting_answer(institution.key, watched_since, flow_id))

    def _look(self, institution: Institution, found: Sequence[Document], *, alone: bool = False) -> PollOutcome:
        """Raises `CaseError` after all that could be looked at was: what cannot be read must be seen, and hides no other."""
        documents = [document for document in found if institution.has(document)]
        amiss: list[Document] = []
        cases = readable(documents, _to_be_polled, amiss)
        outcome = self._look_at(institution, cases, alone=alone) if cases else PollOutcome(institution.key)
        if amiss:
            raise _unreadable([name_of(document) for document in amiss])
        return outcome

    def _look_at(self, institution: Institution, cases: Sequence[Case], *, alone: bool) -> PollOutcome:
        """With `alone`, answers of which the lists show no text are looked at one by one."""
        flow_ids = in_order({_flow_of(case) for case in cases})
        statuses, failures = self._statuses(institution, flow_ids)
        by_request = {(status.flow_id, status.explanation_request_id): status for status in statuses}
        if alone:
            by_request |= self._looked_at_alone(institution, cases, by_request)
        answered, unknown, hidden, now = [], [], [], self._clock.now()
        # By case, not by request: two cases may claim one, and whose the answer is, is judged for each before FS gets it.
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
            elif status is None and case.state is CaseState.DISPATCHED and _is_lost(failures.get(flow_id)):
                answered.append(answer_message(institution, case, None, now))
        correlation_ids = {message.key: message.correlation_id for message in answered}
        accepted = tuple(correlation_ids[key] for key in self._queue.accept(answered))
        if failed := {key: error for key, error in failures.items() if not _is_lost(error) and error.code != LEFT}:
            raise self._of_flows(institution, failed)
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
        """The requests of all flows, side by side, and what went wrong by flow. A flow that fails does not hide the others."""
        exam_system = self._clients.exam_system(institution)
        statuses: list[ExplanationStatus] = []
        failures: dict[str, CaseError] = {}
        limit = time_limit.current()
        # Whoever is left for want of time is not always the same.
        order = random.sample(flow_ids, len(flow_ids))
        with ThreadPoolExecutor(FLOWS_AT_ONCE, thread_name_prefix="flow") as pool:
            results = pool.map(lambda flow_id: _seen(lambda: exam_system.explanations(flow_id), limit), order)
            for flow_id, result in zip(order, results, strict=True):
                if isinstance(result, CaseError):
                    failures[flow_id] = result
                else:
                    statuses.extend(result)
        return statuses, failures

    def _looked_at_alone(
        self, institution: Institution, cases: Sequence[Case], listed: Mapping[Request, ExplanationStatus]
    ) -> dict[Request, ExplanationStatus]:
        """Answers that FS has and whose text no list shows: what changed in them shows only where each is looked at alone.

        A bounded number, others the next time. One that cannot be looked at is what the list says of it.
        """
        of_cases = {(_flow_of(case), case.explanation_request_id) for case in cases if case.registered_hash}
        silent = [
            (flow_id, number)
            for flow_id, number in sorted(of_cases & listed.keys(), key=str)
            if number is not None and listed[flow_id, number].needs_own_look
        ]
        if not silent:
            return {}
        exam_system, limit = self._clients.exam_system(institution), time_limit.current()
        chosen = random.sample(silent, min(len(silent), LOOKED_AT_ALONE))
        with ThreadPoolExecutor(FLOWS_AT_ONCE, thread_name_prefix="request") as pool:
            results = pool.map(lambda one: _seen(lambda: exam_system.explanation(*one), limit), chosen)
            return {
                one: result for one, result in zip(chosen, results, strict=True) if not isinstance(result, CaseError)
            }

    def _of_flows(self, institution: Institution, failures: Mapping[str, CaseError]) -> CaseError:
        """What went wrong first, with the exams that it went wrong for. What stops the whole institution goes first."""
        error = next(
            (one for one in failures.values() if isinstance(one, AuthBrokenError)), next(iter(failures.values()))
        )
        return error.of(self._clients.exam_system(institution).exams_named(in_order(failures)))


def _seen(look: Callable[[], Seen], limit: TimeLimit | None) -> Seen | CaseError:
    """What one look brings. Whatever goes wrong is an error of that look, and stops none of the others."""
    if limit is not None and limit.is_late:
        return _left()
    try:
        with time_limit.within(limit):
            return look()
    except PyMongoError:
        raise
    except BaseException as error:  # noqa: BLE001 see above
        told = as_case_error(error)
        return _left() if limit is not None and limit.is_over else told


def _left() -> CaseError:
    """A flow that was not looked at for want of time: the next poll does."""
    return NotReadyError(LEFT, "The time of the poll was over.", "Wait: the next poll looks there.")


def _to_be_polled(document: Document) -> Case:
    """Raises where the document lacks what an answer's message is made of."""
    check_needed(document)
    return Case.from_document(document)


def check_needed(document: Document) -> None:
    """Raises where one of the `NEEDED` fields is absent, or not what it must be."""
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


def _is_lost(failure: CaseError | None) -> bool:
    """Whether a request that is not listed is gone, rather than out of sight: its flow was read, or is refused for good.

    The case's own message then looks for it alone, and is set aside with the case's name if it is gone.
    """
    return failure is None or isinstance(failure, PermanentError)


def _is_ready(status: ExplanationStatus, case: Case) -> bool:
    """A request that cannot be read may be ready: the case's own message looks at it alone, and is set aside if it cannot."""
    if status.state is ExplanationState.UNREADABLE:
        return case.state is CaseState.DISPATCHED
    return status.state is ExplanationState.READY


def answer_message(
    institution: Institution, case: Case, marker: str | None, looked_for_at: datetime | None = None
) -> NewMessage:
    """The message of an answer. Without `marker` it looks for the explanation request itself, which is not listed any more.

    `looked_for_at`: the list did not show how far the request has come; the message looks at it alone, and ends if it is not
    answered. Then it is looked for once an hour.
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
    """The version of the answer that FS has. An earlier release used the version as the key of its message."""
    version: str | None = case.document.get("registeredVersion") or case.document.get("registeredBy")
    return version


def changes_of(case: Case) -> list[object]:
    """What makes an answer that was seen before one to be looked at again.

    After a correction in FS the assessor may have been asked anew for the same request. When the row was gone from FS and came
    back, whoever carried the answer then found nothing to register it for. A message may have ended without its answer.
    """
    document = case.document
    changes: list[object] = [case.revision] if case.revision else []
    return changes + [document[name] for name in ("withdrawnAt", "answerLeftAt") if document.get(name)]


def _version(case: Case, marker: str | None, looked_for_at: datetime | None) -> str:
    changes = changes_of(case)
    if looked_for_at and case.document.get("answerLeftAt"):
        # The list may go on not to show it: that is no news at every poll.
        changes[-1] = f"{looked_for_at:%Y-%m-%dT%H}"
    return short_hash(QUEUE, case.id, case.document["explanationRequestId"], marker or "not listed", *changes)


def _key(case: Case, version: str) -> str:
    """The version, and where FS has another one also by which message: an answer may be changed back to what it was."""
    registered_by = case.document.get("registeredBy")
    if registered_by is None:
        return version
    return str(registered_by) if version == registered_version(case) else short_hash(version, registered_by)
