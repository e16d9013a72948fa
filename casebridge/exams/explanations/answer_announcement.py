"""Writes a record to Kafka's topic of answers when FS has the explanation. The record never has the text: only FS shows that.

The key of the record names exam and person (contract 11). So a reader can find the request, and the records of a case stay in
order.
"""

import json
from collections.abc import Sequence
from datetime import datetime

from casebridge.exams.explanations import answer_poller
from casebridge.exams.explanations.answer_flow import OSLO
from casebridge.messaging.outbox.effect import Announcer
from casebridge.messaging.outbox.publication import Publication
from casebridge.messaging.queue.message import Message, MessageStatus, PendingEffect
from casebridge.messaging.queue.outcome import Outcome


def answer_announcer(topic: str) -> Announcer:
    """Announces registrations to `topic`. An unchanged answer is not announced again."""

    def announce(message: Message, outcome: Outcome) -> Sequence[PendingEffect]:
        if message.queue != answer_poller.QUEUE or outcome.status is not MessageStatus.PROCESSED:
            return ()
        registered = message.steps.get("register_explanation")
        if registered is None or registered.result.get("outcome") != "registered":
            return ()
        given_at: datetime = message.steps["fetch_answer"].result["givenAt"]
        payload = message.payload
        value = {
            "vurdId": payload["vurdId"],
            "examSys": message.exam_system,
            "orgId": message.org_id,
            "env": message.env,
            "flowId": payload["flowId"],
            "explanationRequestId": payload["explanationRequestId"],
            "correlationId": message.correlation_id,
            "outcome": registered.result["outcome"],
            "datoVedtakFormidlet": given_at.astimezone(OSLO).date().isoformat(),
            "registeredAt": registered.at.isoformat(),
        }
        key = f"{message.org_id}|{payload['vurdId']}|{payload['personlopenr']}"
        return (Publication(topic, key.encode(), json.dumps(value).encode()).effect_of(message),)

    return announce
