"""Settles the messages that the workers have handled, many at a time.

The order never changes:

1. The audit. Writing it twice does no harm, and no state may exist without its entry.
2. The cases.
3. The new status of each message. Other parts rely on it: the case of a settled message is written.

All results that are ready are settled together. Under load more are ready, so more messages share each write.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from casebridge.alerts.alert import Alert
from casebridge.alerts.outbox import AlertOutbox
from casebridge.audit.entry import AuditEntry
from casebridge.audit.log import AuditLog
from casebridge.clock import Clock
from casebridge.crash_points import crash_point
from casebridge.database_faults import is_away
from casebridge.defect import as_case_error, log_defect
from casebridge.errors import AuthBrokenError, CaseError, LeaseLostError, RateLimitedError
from casebridge.institutions.pauses import Pauses
from casebridge.messaging import audit_entries
from casebridge.messaging.flow.flow import Flow
from casebridge.messaging.flow.retry import RetryPolicy
from casebridge.messaging.listener.worker import AttemptResult
from casebridge.messaging.outbox.channels import ALERT
from casebridge.messaging.outbox.effect import Announcer
from casebridge.messaging.queue.malformed_documents import unwritable
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Message, MessageStatus, PendingEffect, moment_of
from casebridge.messaging.queue.outcome import Outcome
from casebridge.telemetry import observer

logger = logging.getLogger(__name__)

ALERT_FROM_ATTEMPT: Final = 3
"""The failed attempt at which people are alerted."""


class Settler:
    """Has no state of its own. Settling the same messages again, after an answer was lost, changes nothing."""

    def __init__(
        self,
        queue: MeldingQ,
        audit: AuditLog,
        alerts: AlertOutbox,
        pauses: Pauses,
        retry: RetryPolicy,
        announcers: Sequence[Announcer],
        clock: Clock,
        relay_after: timedelta,
    ) -> None:
        self._queue = queue
        self._audit = audit
        self._alerts = alerts
        self._pauses = pauses
        self._retry = retry
        self._announcers = announcers
        self._clock = clock
        self._relay_after = relay_after

    def settle(self, batch: Sequence[AttemptResult]) -> list[Outcome]:
        """Store the results of these messages. Raises the driver's errors: then it is unknown what was stored."""
        observation = observer().settling([attempt.message for attempt in batch])
        done = [attempt for attempt in batch if attempt.error is None]
        failed = [
            (attempt, self._retry.decide(attempt.message, attempt.step, attempt.error, self._clock.now()))
            for attempt in batch
            if attempt.error
        ]
        entries: list[AuditEntry] = []
        for attempt in batch:
            entries += audit_entries.done(attempt.message, attempt.flow) if attempt.flow else []
        entries += [audit_entries.failed(outcome, attempt.flow) for attempt, outcome in failed]
        self._audit.add(entries)
        crash_point("audit_written")
        _apply_to_cases(batch)
        crash_point("cases_settled")
        finished = self._finish(done) if done else []
        outcomes = [*finished, *(self._fail(attempt.flow, outcome) for attempt, outcome in failed)]
        observation.ended()
        return outcomes

    def settle_defective(self, attempt: AttemptResult, problem: BaseException) -> Outcome:
        """Settle one message whose result could not be stored: store that its attempt failed, and leave out the rest.

        - Left out is what cannot be stored: audit entries, the mark of the case, effects of announcers, or results of new steps
          (a document has a limit).
        - The message must be settled in any case, and people must be alerted.

        Raises the driver's errors while the database is away.
        """
        message, flow = attempt.message, attempt.flow
        error = attempt.error or as_case_error(problem)
        outcome = self._retry.decide(message, "settle", error, self._clock.now())
        self._leave_out(lambda: self._audit.add(audit_entries.done(message, flow) if flow else []))
        self._leave_out(lambda: self._audit.add([audit_entries.failed(outcome, flow)]))
        effects: list[PendingEffect] = []
        if outcome.is_dead:
            self._leave_out(lambda: flow.set_aside(message, outcome.error or error) if flow else None)
            self._leave_out(lambda: effects.extend(self._announced(outcome)))
        alerts = self._alert_effects(outcome)
        try:
            return self._write_failure(replace(outcome, effects=(*effects, *alerts)))
        except BaseException as worse:
            if is_away(worse):
                raise
            log_defect(worse)
        message.steps = Message.from_document(message.stored).steps
        try:
            return self._write_failure(replace(outcome, effects=tuple(alerts)))
        except BaseException as worse:
            if is_away(worse):
                raise
            log_defect(worse)
        return self._mark_dead(message)

    def _mark_dead(self, message: Message) -> Outcome:
        """Mark a message dead whose document does not even take its failure.

        If it were left to its lease, it would be run for ever without an alert.
        """
        error = unwritable()
        # Not `set_aside`: the message does not have this code among its errors, so no command would find it by the code.
        self._alerts.enqueue(_alert(message, "settle", error, set_aside=False))
        try:
            self._queue.mark_dead(message)
        except LeaseLostError:
            return _lost(Outcome(message, None))
        return self._retry.decide(message, "settle", error, self._clock.now())

    @staticmethod
    def _leave_out(write: Callable[[], None]) -> None:
        """Try a write that may be left out when a defective message is settled."""
        try:
            write()
        except BaseException as error:
            if is_away(error):
                raise
            log_defect(error)

    def _finish(self, batch: Sequence[AttemptResult]) -> list[Outcome]:
        flows = {attempt.message.key: attempt.flow for attempt in batch}
        outcomes = []
        for attempt in batch:
            dropped = attempt.flow.dropped_results if attempt.flow else ()
            outcome = Outcome(attempt.message, MessageStatus.PROCESSED, dropped_results=dropped)
            effects = self._announced(outcome)
            outcomes.append(replace(outcome, effects=effects) if effects else outcome)
        settled = self._queue.finish(outcomes, self._relay_after)
        for outcome in settled:
            if outcome.status is None:
                _lost(outcome)
                if flow := flows[outcome.message.key]:
                    flow.on_lease_lost(outcome.message)
        return settled

    def _fail(self, flow: Flow | None, outcome: Outcome) -> Outcome:
        if isinstance(outcome.error, AuthBrokenError):
            self._pause_institution(outcome.message, outcome.step, outcome.error)
        effects: tuple[PendingEffect, ...] = ()
        if outcome.is_dead:
            if flow and outcome.error:
                flow.set_aside(outcome.message, outcome.error)
            effects = self._announced(outcome)
        return self._write_failure(replace(outcome, effects=(*effects, *self._alert_effects(outcome))))

    def _alert_effects(self, outcome: Outcome) -> list[PendingEffect]:
        """The alert of a failed attempt: if the message is dead, at its third charged attempt, or if it is overdue."""
        message, error = outcome.message, outcome.error
        if error is None:
            return []
        if is_overdue(outcome, self._retry.overdue):
            error = _lasting(error)
        elif not outcome.is_dead and not (outcome.is_charged and message.attempts == ALERT_FROM_ATTEMPT):
            return []
        alert = _alert(message, outcome.step, error, set_aside=outcome.is_dead)
        return [PendingEffect.of(message, ALERT, alert.body())]

    def _write_failure(self, outcome: Outcome) -> Outcome:
        try:
            self._queue.fail(outcome)
        except LeaseLostError:
            return _lost(outcome)
        crash_point("settled")
        status = outcome.status.value if outcome.status else ""
        logger.info("case %s: %s failed with %s, now %s", outcome.message.safe_id, outcome.step, outcome.code, status)
        return outcome

    def _pause_institution(self, message: Message, step: str, error: AuthBrokenError) -> None:
        # The alert comes first. A pause without an alert would go unnoticed; an alert without a pause is repeated and folded.
        self._alerts.enqueue(_alert(message, step, error))
        if self._pauses.pause(message.institution, message.exam_system, error):
            logger.warning("%s is paused: %s", message.institution, error.code)

    def _announced(self, outcome: Outcome) -> tuple[PendingEffect, ...]:
        return tuple(effect for announcer in self._announcers for effect in announcer(outcome.message, outcome))


def is_overdue(outcome: Outcome, overdue: timedelta) -> bool:
    """Whether a message that must wait again (`RateLimitedError`) has waited for too long. True once in each period `overdue`."""
    message, failure = outcome.message, outcome.failure
    last = message.errors[-1] if message.errors else {}
    if failure is None or not isinstance(outcome.error, RateLimitedError):
        return False
    before = moment_of(last, "at")
    if before is None or last.get("category") != failure.category:
        return False
    waited, waited_before = failure.at - message.enqueued_at, before - message.enqueued_at
    return bool(waited // overdue > waited_before // overdue)


def _lasting(error: CaseError) -> CaseError:
    """The same error with a next action for messages that have waited for long."""
    return RateLimitedError(
        error.code,
        f"{error.cause} Messages have waited for this for too long.",
        f"Ask the support of {error.system or 'the other end'} why calls are refused for so long; messages go on by themselves.",
        system=error.system,
    )


def _apply_to_cases(batch: Sequence[AttemptResult]) -> None:
    flows = {attempt.flow.queue: attempt.flow for attempt in batch if attempt.flow}
    for queue, flow in flows.items():
        flow.apply_to_cases([attempt.message for attempt in batch if attempt.message.queue == queue])


def _alert(message: Message, step: str, error: CaseError, *, set_aside: bool = False) -> Alert:
    return Alert.of(
        error,
        institution=message.institution,
        org_id=message.org_id,
        exam_system=message.exam_system,
        submodule=message.queue,
        step=step,
        correlation_id=message.correlation_id,
        set_aside=set_aside,
    )


def _lost(outcome: Outcome) -> Outcome:
    """The outcome of a message that another worker has taken over."""
    observer().lease_lost(outcome.message)
    logger.warning("case %s: another worker has taken over", outcome.message.safe_id)
    return replace(outcome, status=None, due_at=None)
