"""Announces each outcome to the log index: ids, codes, counts and our own sentences. No personal data."""

from collections.abc import Sequence

from casebridge.clock import Clock
from casebridge.messaging.outbox.channels import LOG_INDEX
from casebridge.messaging.queue.message import Message, MessageStatus, PendingEffect
from casebridge.messaging.queue.outcome import Outcome


class OutcomeIndex:
    """The announcer of index entries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, message: Message, outcome: Outcome) -> Sequence[PendingEffect]:
        body = {
            "time": self._clock.now().isoformat(),
            "correlationId": message.correlation_id,
            "institution": message.institution,
            "orgId": message.org_id,
            "env": message.env,
            "examSys": message.exam_system,
            "submodule": message.queue,
            "step": outcome.step,
            "success": outcome.status is MessageStatus.PROCESSED,
            "code": outcome.failure.code if outcome.failure else None,
            # Our own sentences. They name the exam, flow or request concerned.
            "cause": outcome.failure.cause if outcome.failure else None,
            "nextAction": outcome.failure.next_action if outcome.failure else None,
            "attempts": message.attempts,
        }
        return [PendingEffect.of(message, LOG_INDEX, body)]
