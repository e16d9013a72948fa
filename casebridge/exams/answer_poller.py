"""Looks for answers in the exam system and puts them into the inbox: the source of the way back.

One call per flow tells of all its requests. An answer is accepted once for each `marker`, which changes when the answer may have
changed; whether the text really did is decided by its fingerprint when it is fetched.
"""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from pymongo.errors import PyMongoError

from casebridge import time_limit
from casebridge.clock import Clock
from casebridge.defect import as_case_error
from casebridge.errors import CaseError, PermanentError
from casebridge.exams.cases import Case, Cases
from casebridge.exams.institution import Institution
from casebridge.exams.models import ExplanationState, ExplanationStatus
from casebridge.exams.polling import Polling, PollOutcome
from casebridge.exams.ports import ExamSystem, Outside
from casebridge.exams.watermarks import Watermarks
from casebridge.fingerprint import short_hash
from casebridge.messaging.meldingq import MeldingQ
from casebridge.messaging.message import NewMessage
from casebridge.time_limit import TimeLimit

SUBMODULE: Final = "wiseflow-begrunnelse-poll"
QUEUE: Final = "wiseflow-begrunnelse-svar"
FLOWS_AT_ONCE: Final = 6


class AnswerPoller:
    """The source that the exam system is. Only feeds the inbox; safe to run side by side with itself."""

    def __init__(
        self,
        outside: Outside,
        queue: MeldingQ,
        cases: Cases,
        watermarks: Watermarks,
        polling: Polling,
        clock: Clock,
        watch: timedelta,
    ) -> None:
        self._outside = outside
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
        cases = self._cases.awaiting_answer(institution.key, watched_since)
        outcome = self._look(institution, cases)
        if cases:
            self._watermarks.recovered(institution)
        return outcome

    def look_at(self, institution: Institution, flow_id: int) -> PollOutcome:
        """Answers on one flow, now, also changed ones: somebody told us that something happened there.

        Raises `CaseError`: whoever was told tries again.
        """
        watched_since = self._clock.now() - self._watch
        return self._look(institution, self._cases.awaiting_answer(institution.key, watched_since, flow_id))

    def _look(self, institution: Institution, cases: Sequence[Case]) -> PollOutcome:
        if not cases:
            return PollOutcome(institution.key)
        statuses, failures = self._statuses(institution, sorted({case.document["flowId"] for case in cases}))
        by_request = {(case.document["flowId"], case.document["explanationRequestId"]): case for case in cases}
        answered, unknown = [], []
        for status in statuses:
            case = by_request.get((status.flow_id, status.explanation_request_id))
            if case is not None and status.state is ExplanationState.UNKNOWN:
                unknown.append(status)
            elif case is not None and _is_ready(institution, status):
                answered.append(_message(institution, case, status))
        correlation_ids = {message.key: message.correlation_id for message in answered}
        accepted = tuple(correlation_ids[key] for key in self._queue.accept(answered))
        if failures or unknown:
            raise failures[0] if failures else _unknown_state(unknown)
        return PollOutcome(
            institution.key,
            seen=len(statuses),
            accepted=accepted,
            known=len(answered) - len(accepted),
            counts={"flows": len({case.document["flowId"] for case in cases}), "awaiting": len(cases)},
        )

    def _statuses(
        self, institution: Institution, flow_ids: list[int]
    ) -> tuple[list[ExplanationStatus], list[CaseError]]:
        """The requests of all flows, side by side. A flow that fails does not hide the others."""
        exam_system = self._outside.exam_system(institution)
        statuses: list[ExplanationStatus] = []
        failures: list[CaseError] = []
        limit = time_limit.current()
        random.shuffle(flow_ids)  # whoever is left for want of time is not always the same
        with ThreadPoolExecutor(FLOWS_AT_ONCE, thread_name_prefix="flow") as pool:
            for result in pool.map(lambda flow_id: _explanations(exam_system, flow_id, limit), flow_ids):
                if isinstance(result, CaseError):
                    failures.append(result)
                else:
                    statuses.extend(result)
        return statuses, failures


def _explanations(
    exam_system: ExamSystem, flow_id: int, limit: TimeLimit | None
) -> Sequence[ExplanationStatus] | CaseError:
    if limit is not None and limit.is_late:
        return ()  # the next poll looks there
    try:
        with time_limit.within(limit):
            return exam_system.explanations(flow_id)
    except PyMongoError:
        raise
    except BaseException as error:  # noqa: BLE001 whatever one flow brings out hides no other
        told = as_case_error(error)
        return () if limit is not None and limit.is_over else told.of(f"flow {flow_id}")


def _is_ready(institution: Institution, status: ExplanationStatus) -> bool:
    """Accepted always goes to FS; submitted only where the institution has chosen so (contract 6.1)."""
    if status.state is ExplanationState.ACCEPTED:
        return True
    submitted_is_enough = institution.wiseflow is not None and institution.wiseflow.answer_state == 2
    return status.state is ExplanationState.SUBMITTED and submitted_is_enough


def _unknown_state(unknown: list[ExplanationStatus]) -> PermanentError:
    named = ", ".join(f"{status.explanation_request_id} (state {status.raw_state})" for status in unknown[:5])
    return PermanentError(
        "wiseflow.state_unknown",
        f"WISEflow reports a state that its documentation does not know: explanation request {named}.",
        "Look at the request in WISEflow and ask the vendor; the case stays open and is looked at with every poll.",
        system="WISEflow",
    )


def _message(institution: Institution, case: Case, status: ExplanationStatus) -> NewMessage:
    document = case.document
    return NewMessage(
        key=short_hash(QUEUE, case.id, status.explanation_request_id, status.marker),
        queue=QUEUE,
        org_id=institution.org_id,
        env=institution.env,
        exam_system=institution.exam_system,
        ordering_key=case.id,
        correlation_id=case.correlation_id,
        payload={
            "caseId": case.id,
            "flowId": status.flow_id,
            "explanationRequestId": status.explanation_request_id,
            "marker": status.marker,
            "vurdId": document["vurdId"],
            "personlopenr": document["personlopenr"],
            "kandidatnr": document["kandidatnr"],
        },
    )
