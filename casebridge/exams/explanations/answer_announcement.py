"""What became of a case, told on Kafka's topic of answers once FS has the explanation. Never its text, which is FS's to show.

The key names exam and person (contract 11), so that a reader finds the request again and a case's records keep their order.
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
    """Announces registrations to `topic`. An answer that was found unchanged was announced before."""

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
