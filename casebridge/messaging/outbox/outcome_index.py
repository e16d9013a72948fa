"""Announces each outcome to the log index: ids, codes, counts and our own sentences, no personal data."""

from collections.abc import Sequence

from casebridge.clock import Clock
from casebridge.messaging.outbox.channels import LOG_INDEX
from casebridge.messaging.outbox.effect import Settlement
from casebridge.messaging.queue.message import Message, MessageStatus, OwedEffect


class OutcomeIndex:
    """An announcer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, message: Message, settlement: Settlement) -> Sequence[OwedEffect]:
        body = {
            "time": self._clock.now().isoformat(),
            "correlationId": message.correlation_id,
            "institution": message.institution,
            "orgId": message.org_id,
            "env": message.env,
            "examSys": message.exam_system,
            "submodule": message.queue,
            "step": settlement.step,
            "success": settlement.status is MessageStatus.PROCESSED,
            "code": settlement.failure.code if settlement.failure else None,
            # Our own sentences: they name the exam, flow or request that it is about.
            "cause": settlement.failure.cause if settlement.failure else None,
            "nextAction": settlement.failure.next_action if settlement.failure else None,
            "attempts": message.attempts,
        }
        return [OwedEffect.of(message, LOG_INDEX, body)]
