"""One worker's work on one claimed message: run the flow, write the audit, settle the outcome.

The order never changes: audit first, then the message's new state, because the audit may be written twice without harm and a
state that nobody can account for may not exist.
"""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pymongo.errors import PyMongoError

from casebridge.alerts.alert import Alert
from casebridge.alerts.outbox import AlertOutbox
from casebridge.audit.log import AuditLog
from casebridge.clock import Clock
from casebridge.crash_points import crash_point
from casebridge.defect import as_case_error, log_defect
from casebridge.errors import AuthBrokenError, CaseError, LeaseLostError, PermanentError, TransientError
from casebridge.messaging import account
from casebridge.messaging.flow import Flow, StepFailedError, run_steps
from casebridge.messaging.meldingq import MeldingQ
from casebridge.messaging.message import Failure, Message, MessageStatus, OwedEffect, StepRecord
from casebridge.messaging.pauses import Pauses
from casebridge.messaging.retry import RetryPolicy

logger = logging.getLogger(__name__)

ALERT: Final = "alert"
LOG_INDEX: Final = "log_index"
ALERT_FROM_ATTEMPT: Final = 3


@dataclass(frozen=True)
class Outcome:
    """What became of one claimed message, for counting."""

    key: str
    queue: str
    institution: str
    status: MessageStatus | None
    """`None`: the lease was lost, or the database was away; somebody else will finish it."""
    code: str | None = None


class Worker:
    """Stateless but for its collaborators; any number of threads may share one."""

    def __init__(
        self,
        queue: MeldingQ,
        flows: Mapping[str, Flow],
        audit: AuditLog,
        alerts: AlertOutbox,
        pauses: Pauses,
        retry: RetryPolicy,
        clock: Clock,
        maximum_attempts: int,
        relay_after: timedelta,
        *,
        index_outcomes: bool,
    ) -> None:
        self._queue = queue
        self._flows = flows
        self._audit = audit
        self._alerts = alerts
        self._pauses = pauses
        self._retry = retry
        self._clock = clock
        self._maximum_attempts = maximum_attempts
        self._relay_after = relay_after
        self._index_outcomes = index_outcomes

    def handle(self, message: Message) -> Outcome:
        """Never raises: what goes wrong is settled with the message or left to its lease."""
        try:
            return self._handle(message)
        except LeaseLostError:
            logger.warning("case %s: another worker has taken over %s", message.correlation_id, message.queue)
        except PyMongoError as error:
            # What was done stays in the message; when the lease runs out, another worker resumes there.
            logger.warning("case %s: the database is away (%s)", message.correlation_id, type(error).__name__)
        except Exception as error:  # noqa: BLE001 a defect outside the steps; the lease brings the message back
            logger.warning("case %s: left to its lease", message.correlation_id)
            log_defect(error)
        return Outcome(message.key, message.queue, message.institution, None)

    def _handle(self, message: Message) -> Outcome:
        flow = self._flows.get(message.queue)
        try:
            if flow is None:
                raise _no_flow(message)
            if message.attempts > self._maximum_attempts:
                raise StepFailedError(next_step(flow, message)) from _crashed_too_often(self._maximum_attempts)
            last = run_steps(
                flow, message, self._clock, lambda name, step: self._queue.record_step(message, name, step)
            )
        except StepFailedError as failed:
            cause = failed.__cause__
            if isinstance(cause, LeaseLostError | PyMongoError):
                raise cause from None
            return self._fail(message, flow, failed.step, as_case_error(cause or failed))
        except PermanentError as error:
            return self._fail(message, flow, "choose_flow", error)
        return self._finish(message, flow, last)

    def _finish(self, message: Message, flow: Flow, last: dict[str, StepRecord]) -> Outcome:
        message.steps.update(last)
        self._audit.add(account.done(message, flow))
        crash_point("audit_written")
        effects = self._index_effects(message, success=True, step="finished", code=None)
        self._queue.finish(message, last, effects, flow.forget, self._relay_after)
        crash_point("settled")
        return Outcome(message.key, message.queue, message.institution, MessageStatus.PROCESSED)

    def _fail(self, message: Message, flow: Flow | None, step: str, error: CaseError) -> Outcome:
        now = self._clock.now()
        verdict = self._retry.decide(error, message.attempts, now)
        is_dead = verdict.status is MessageStatus.DEAD
        if is_dead and isinstance(error, TransientError):
            error = _given_up(error, message.attempts)
        failure = Failure(now, message.attempts, step, error.category.value, error.code, error.cause, error.next_action)
        entries = account.done(message, flow) if flow else []
        self._audit.add([*entries, account.failed(message, flow, failure)])
        crash_point("audit_written")
        if isinstance(error, AuthBrokenError):
            self._stop_institution(message, step, error)
        effects: list[OwedEffect] = []
        if is_dead:
            if flow:
                flow.set_aside(message, error)
            effects += self._index_effects(message, success=False, step=step, code=error.code)
        if is_dead or (verdict.counts and message.attempts == ALERT_FROM_ATTEMPT):
            alert = _alert(message, step, error, set_aside=is_dead)
            effects.append(OwedEffect(uuid.uuid4().hex, ALERT, alert.body()))
        self._queue.fail(message, verdict.status, verdict.due_at, failure, effects, counts=verdict.counts)
        crash_point("settled")
        logger.info(
            "case %s: %s failed with %s, now %s", message.correlation_id, step, error.code, verdict.status.value
        )
        return Outcome(message.key, message.queue, message.institution, verdict.status, error.code)

    def _stop_institution(self, message: Message, step: str, error: AuthBrokenError) -> None:
        # The alert first: a pause without an alert would be silence, an alert without a pause is repeated and folded.
        self._alerts.owe(_alert(message, step, error))
        if self._pauses.pause(message.institution, error):
            logger.warning("%s is paused: %s", message.institution, error.code)

    def _index_effects(self, message: Message, *, success: bool, step: str, code: str | None) -> list[OwedEffect]:
        if not self._index_outcomes:
            return []
        body = {
            "time": self._clock.now().isoformat(),
            "correlationId": message.correlation_id,
            "orgId": message.org_id,
            "env": message.env,
            "examSys": message.exam_system,
            "submodule": message.queue,
            "step": step,
            "success": success,
            "code": code,
            "attempts": message.attempts,
        }
        return [OwedEffect(uuid.uuid4().hex, LOG_INDEX, body)]


def next_step(flow: Flow, message: Message) -> str:
    """The step at which a message stands."""
    return next((step.name for step in flow.steps if step.name not in message.steps), "settle")


def _alert(message: Message, step: str, error: CaseError, *, set_aside: bool = False) -> Alert:
    return Alert.of(
        error,
        institution=message.institution,
        org_id=message.org_id,
        submodule=message.queue,
        step=step,
        correlation_id=message.correlation_id,
        set_aside=set_aside,
    )


def _given_up(error: TransientError, attempts: int) -> TransientError:
    """The same failure, which nobody tries again by itself from now on: that changes what is to be done."""
    next_action = f"{error.next_action} The message has had its {attempts} attempts: replay it when the cause is gone."
    return TransientError(error.code, error.cause, next_action, system=error.system)


def _crashed_too_often(maximum: int) -> PermanentError:
    return PermanentError(
        "casebridge.worker_lost",
        f"The worker was lost {maximum} times while it handled this message.",
        "Look for crashes of the listener at those times (memory, kills), then replay the message.",
    )


def _no_flow(message: Message) -> PermanentError:
    return PermanentError(
        "casebridge.queue_unknown",
        f"No flow handles the queue {message.queue}.",
        "Run a version of casebridge that knows the queue, then replay the message.",
    )
