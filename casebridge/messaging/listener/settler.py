"""Settles what the workers have handled, many messages at a time: the audit, then the cases, then each message's new state.

The order never changes: audit first, because the audit may be written twice without harm and a state that nobody can account
for may not exist; the message last, because whoever finds it settled takes its case for written. Whatever is ready is settled at
once; under load more is ready, so each write is shared by more messages.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from casebridge.errors import AuthBrokenError, CaseError, LeaseLostError, RateLimitedError, TransientError
from casebridge.institutions.pauses import Pauses
from casebridge.messaging.flow.retry import RetryPolicy, Verdict
from casebridge.messaging.listener import audit_entries
from casebridge.messaging.listener.worker import AttemptResult, SettledMessage
from casebridge.messaging.outbox.channels import ALERT
from casebridge.messaging.outbox.effect import Announcer, Outcome
from casebridge.messaging.outbox.pending_effects import PendingEffects
from casebridge.messaging.queue.finished import Finished
from casebridge.messaging.queue.malformed_documents import unwritable
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Failure, Message, MessageStatus, PendingEffect, moment_of
from casebridge.telemetry import observer

logger = logging.getLogger(__name__)

ALERT_FROM_ATTEMPT: Final = 3


@dataclass(frozen=True)
class Settled:
    """What became of a batch, and what its messages owe now."""

    outcomes: list[SettledMessage]
    pending_effects: list[PendingEffects]


class Settler:
    """Stateless but for its collaborators. Settling the same messages again, after an answer was lost, changes nothing."""

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

    def settle(self, batch: Sequence[AttemptResult]) -> Settled:
        """Write down what became of these messages. Raises the driver's errors: then nothing of it may be known."""
        seen = observer().settling([attempt.message for attempt in batch])
        done = [attempt for attempt in batch if attempt.error is None]
        failed = [(attempt, _Failed.of(attempt, self._retry, self._clock)) for attempt in batch if attempt.error]
        entries: list[AuditEntry] = []
        for attempt in batch:
            entries += audit_entries.done(attempt.message, attempt.flow) if attempt.flow else []
        entries += [audit_entries.failed(attempt.message, attempt.flow, what.failure) for attempt, what in failed]
        self._audit.add(entries)
        crash_point("audit_written")
        _apply_to_cases(batch)
        crash_point("concluded")
        settled = self._finish(done) if done else Settled([], [])
        settled.outcomes.extend(self._fail(attempt, what) for attempt, what in failed)
        seen.ended()
        return settled

    def settle_defective(self, attempt: AttemptResult, problem: BaseException) -> Settled:
        """One message that could not be settled with what it came to: its attempt failed, and that is written with less.

        What cannot be written is left out: the audit's entries, the case's mark, what announcers want told, the new
        steps' results (a document has its limit). The message must not stay in nobody's hands, and people must hear of
        it. Raises the driver's errors while the database is away.
        """
        message = attempt.message
        failed = AttemptResult(message, attempt.flow, attempt.error or as_case_error(problem), "settle")
        what = _Failed.of(failed, self._retry, self._clock)
        self._attempt(lambda: self._audit.add(audit_entries.done(message, failed.flow) if failed.flow else []))
        self._attempt(lambda: self._audit.add([audit_entries.failed(message, failed.flow, what.failure)]))
        effects: list[PendingEffect] = []
        if what.is_dead:
            self._attempt(lambda: failed.flow.set_aside(message, what.error) if failed.flow else None)
            outcome = Outcome(MessageStatus.DEAD, failed.step, what.failure)
            self._attempt(lambda: effects.extend(self._owed(message, outcome)))
        effects += self._alerts_owed(failed, what)
        try:
            return Settled([self._write_failure(failed, what, effects)], [])
        except BaseException as error:
            if is_away(error):
                raise
            log_defect(error)
        message.steps = Message.from_document(message.stored).steps
        try:
            return Settled([self._write_failure(failed, what, self._alerts_owed(failed, what))], [])
        except BaseException as error:
            if is_away(error):
                raise
            log_defect(error)
        return Settled([self._bury(failed)], [])

    def _bury(self, attempt: AttemptResult) -> SettledMessage:
        """Its document does not even take that it failed: left to its lease it would be run for ever, and nobody told."""
        message, error = attempt.message, unwritable()
        # Its code is not among the message's errors: no command finds it by that, as it would a message that is set aside.
        self._alerts.owe(_alert(message, attempt.step, error, set_aside=False))
        try:
            self._queue.bury(message)
        except LeaseLostError:
            _tell_lost(message)
            return attempt.outcome(None)
        return attempt.outcome(MessageStatus.DEAD, error.code)

    @staticmethod
    def _attempt(write: Callable[[], None]) -> None:
        """What a defective message's failure can do without."""
        try:
            write()
        except BaseException as error:
            if is_away(error):
                raise
            log_defect(error)

    def _finish(self, batch: Sequence[AttemptResult]) -> Settled:
        outcome = Outcome(MessageStatus.PROCESSED, "finished")
        finished = [
            Finished(
                attempt.message,
                self._owed(attempt.message, outcome),
                attempt.flow.dropped_results if attempt.flow else (),
            )
            for attempt in batch
        ]
        moved = self._queue.finish(finished, self._relay_after)
        for attempt in batch:
            if attempt.message.key in moved.lost:
                _tell_lost(attempt.message)
                if attempt.flow:
                    attempt.flow.on_lease_lost(attempt.message)
        return Settled(
            [
                attempt.outcome(None if attempt.message.key in moved.lost else MessageStatus.PROCESSED)
                for attempt in batch
            ],
            moved.pending_effects,
        )

    def _fail(self, attempt: AttemptResult, what: "_Failed") -> SettledMessage:
        message = attempt.message
        if isinstance(what.error, AuthBrokenError):
            self._stop_institution(message, attempt.step, what.error)
        effects: list[PendingEffect] = []
        if what.is_dead:
            if attempt.flow:
                attempt.flow.set_aside(message, what.error)
            effects += self._owed(message, Outcome(MessageStatus.DEAD, attempt.step, what.failure))
        effects += self._alerts_owed(attempt, what)
        return self._write_failure(attempt, what, effects)

    def _alerts_owed(self, attempt: AttemptResult, what: "_Failed") -> list[PendingEffect]:
        message, error = attempt.message, what.error
        if _is_overdue(message, what, self._retry.overdue):
            error = _for_long(error)
        elif not what.is_dead and not (what.verdict.counts and message.attempts == ALERT_FROM_ATTEMPT):
            return []
        return [PendingEffect.of(message, ALERT, _alert(message, attempt.step, error, set_aside=what.is_dead).body())]

    def _write_failure(
        self, attempt: AttemptResult, what: "_Failed", effects: Sequence[PendingEffect]
    ) -> SettledMessage:
        message, verdict = attempt.message, what.verdict
        try:
            self._queue.fail(message, verdict.status, verdict.due_at, what.failure, effects, counts=verdict.counts)
        except LeaseLostError:
            _tell_lost(message)
            return attempt.outcome(None)
        crash_point("settled")
        logger.info(
            "case %s: %s failed with %s, now %s",
            message.told_id, attempt.step, what.error.code, verdict.status.value,
        )  # fmt: skip
        return attempt.outcome(verdict.status, what.error.code, verdict.due_at)

    def _stop_institution(self, message: Message, step: str, error: AuthBrokenError) -> None:
        # The alert first: a pause without an alert would be silence, an alert without a pause is repeated and folded.
        self._alerts.owe(_alert(message, step, error))
        if self._pauses.pause(message.institution, message.exam_system, error):
            logger.warning("%s is paused: %s", message.institution, error.code)

    def _owed(self, message: Message, outcome: Outcome) -> list[PendingEffect]:
        return [effect for announcer in self._announcers for effect in announcer(message, outcome)]


@dataclass(frozen=True)
class _Failed:
    """What is decided of a failed attempt, before anything of it is written."""

    error: CaseError
    failure: Failure
    verdict: Verdict

    @property
    def is_dead(self) -> bool:
        return self.verdict.status is MessageStatus.DEAD

    @classmethod
    def of(cls, attempt: AttemptResult, retry: RetryPolicy, clock: Clock) -> "_Failed":
        error, message, now = attempt.error, attempt.message, clock.now()
        if error is None:
            raise ValueError("only a failed attempt has a failure")
        verdict = retry.decide(error, message.attempts, now)
        if verdict.status is MessageStatus.DEAD and isinstance(error, TransientError):
            error = _given_up(error, message.attempts)
        failure = Failure(
            now, message.attempts, attempt.step, error.category.value, error.code, error.cause, error.next_action
        )
        return cls(error, failure, verdict)


def _is_overdue(message: Message, what: "_Failed", overdue: timedelta) -> bool:
    """Whether a message that is asked to wait, again, has waited for too long: once for each such time."""
    last = message.errors[-1] if message.errors else {}
    if not isinstance(what.error, RateLimitedError) or last.get("category") != what.error.category.value:
        return False
    told = moment_of(last, "at")
    if told is None:
        return False
    waited, before = what.failure.at - message.enqueued_at, told - message.enqueued_at
    return bool(waited // overdue > before // overdue)


def _for_long(error: CaseError) -> CaseError:
    """The same error, which has lasted: that changes what is to be done."""
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


def _given_up(error: TransientError, attempts: int) -> TransientError:
    """The same failure, which nobody tries again by itself from now on: that changes what is to be done."""
    next_action = f"{error.next_action} The message has had its {attempts} attempts: replay it when the cause is gone."
    return TransientError(error.code, error.cause, next_action, system=error.system)


def _tell_lost(message: Message) -> None:
    observer().lease_lost(message)
    logger.warning("case %s: another worker has taken over", message.told_id)
