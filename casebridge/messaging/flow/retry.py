"""Decides what becomes of a message that failed. Retries are decided nowhere else (design §3: one retry owner)."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from casebridge.errors import CaseError, ErrorCategory, TransientError
from casebridge.messaging.queue.message import Failure, Message, MessageStatus
from casebridge.messaging.queue.outcome import Outcome
from casebridge.settings import QueueSettings

FACTOR = 4
JITTER = 0.2


class RetryPolicy:
    """At most `maximum_attempts`. The waits grow fourfold up to a cap.

    Each wait varies by ±20 %, so that many messages that failed together do not return together.
    """

    def __init__(self, settings: QueueSettings, draw: Callable[[], float] = random.random) -> None:
        self._settings = settings
        self._draw = draw

    @property
    def overdue(self) -> timedelta:
        """How long a message may wait before people are alerted."""
        return max(timedelta(seconds=self._settings.overdue_seconds), timedelta(milliseconds=1))

    def decide(self, message: Message, step: str, error: CaseError, now: datetime) -> Outcome:
        """The outcome of an attempt that failed: the next status, when the message is due again, and whether it is charged.

        `message.attempts` includes the attempt that just failed. `due_at` is `None` where a person decides.
        """
        status, due_at, is_charged = self._next(error, message.attempts, now)
        if status is MessageStatus.DEAD and isinstance(error, TransientError):
            error = _given_up(error, message.attempts)
        failure = Failure(now, message.attempts, step, error.category.value, error.code, error.cause, error.next_action)
        return Outcome(message, status, step, failure, error, due_at, is_charged)

    def _next(self, error: CaseError, attempts: int, now: datetime) -> tuple[MessageStatus, datetime | None, bool]:
        match error.category:
            case ErrorCategory.PERMANENT:
                return MessageStatus.DEAD, None, True
            case ErrorCategory.TRANSIENT:
                if attempts >= self._settings.maximum_attempts:
                    return MessageStatus.DEAD, None, True
                return MessageStatus.FAILED, now + self.backoff(attempts, error.retry_after), True
            case ErrorCategory.NOT_READY:
                wait = error.retry_after or timedelta(seconds=self._settings.not_ready_seconds)
                return MessageStatus.ENQUEUED, now + self._jittered(wait), False
            case ErrorCategory.RATE_LIMITED:
                wait = error.retry_after or timedelta(seconds=self._settings.retry_base_seconds)
                return MessageStatus.ENQUEUED, now + wait + self._jittered(wait) * JITTER, False
            case ErrorCategory.AUTH_BROKEN:
                # The institution is paused. Claims leave its messages out; they are due at once when the pause ends.
                return MessageStatus.ENQUEUED, now, False

    def backoff(self, attempts: int, at_least: timedelta | None = None) -> timedelta:
        """The wait after the attempt number `attempts`; never shorter than what the other end asked for."""
        seconds = min(
            self._settings.retry_cap_seconds, self._settings.retry_base_seconds * FACTOR ** (max(attempts, 1) - 1)
        )
        return max(self._jittered(timedelta(seconds=seconds)), at_least or timedelta())

    def _jittered(self, wait: timedelta) -> timedelta:
        return wait * (1 - JITTER + 2 * JITTER * self._draw())


def _given_up(error: TransientError, attempts: int) -> TransientError:
    """The same failure with a next action for a person, because the message is no longer tried again by itself."""
    next_action = f"{error.next_action} The message has had its {attempts} attempts: replay it when the cause is gone."
    return TransientError(error.code, error.cause, next_action, system=error.system)
