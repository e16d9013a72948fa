"""What becomes of a message that failed: the one place where retries are decided (design §3: one retry owner)."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from casebridge.errors import CaseError, ErrorCategory
from casebridge.messaging.queue.message import MessageStatus
from casebridge.settings import QueueSettings

FACTOR = 4
JITTER = 0.2


@dataclass(frozen=True)
class Verdict:
    """The next status, when the message is due again (`None`: a person decides), and whether the attempt counts."""

    status: MessageStatus
    due_at: datetime | None
    counts: bool


class RetryPolicy:
    """At most `maximum_attempts`, waits that grow fourfold up to a cap, ±20 % so that a crowd does not come back at once."""

    def __init__(self, settings: QueueSettings, draw: Callable[[], float] = random.random) -> None:
        self._settings = settings
        self._draw = draw

    @property
    def overdue(self) -> timedelta:
        """How long a message may wait before people hear of it."""
        return max(timedelta(seconds=self._settings.overdue_seconds), timedelta(milliseconds=1))

    def decide(self, error: CaseError, attempts: int, now: datetime) -> Verdict:
        """`attempts` includes the one that just failed."""
        match error.category:
            case ErrorCategory.PERMANENT:
                return Verdict(MessageStatus.DEAD, None, counts=True)
            case ErrorCategory.TRANSIENT:
                if attempts >= self._settings.maximum_attempts:
                    return Verdict(MessageStatus.DEAD, None, counts=True)
                return Verdict(MessageStatus.FAILED, now + self.backoff(attempts, error.retry_after), counts=True)
            case ErrorCategory.NOT_READY:
                wait = error.retry_after or timedelta(seconds=self._settings.not_ready_seconds)
                return Verdict(MessageStatus.ENQUEUED, now + self._jittered(wait), counts=False)
            case ErrorCategory.RATE_LIMITED:
                wait = error.retry_after or timedelta(seconds=self._settings.retry_base_seconds)
                return Verdict(MessageStatus.ENQUEUED, now + wait + self._jittered(wait) * JITTER, counts=False)
            case ErrorCategory.AUTH_BROKEN:
                # The institution is paused: its messages are passed over, and due at once when the pause is lifted.
                return Verdict(MessageStatus.ENQUEUED, now, counts=False)

    def backoff(self, attempts: int, at_least: timedelta | None = None) -> timedelta:
        """The wait after the attempt number `attempts`; never shorter than what the other end asked for."""
        seconds = min(
            self._settings.retry_cap_seconds, self._settings.retry_base_seconds * FACTOR ** (max(attempts, 1) - 1)
        )
        return max(self._jittered(timedelta(seconds=seconds)), at_least or timedelta())

    def _jittered(self, wait: timedelta) -> timedelta:
        return wait * (1 - JITTER + 2 * JITTER * self._draw())
