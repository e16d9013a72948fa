"""A stored message may have errors in any form. When it fails again, that must not raise."""

from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest

from casebridge.errors import RateLimitedError
from casebridge.messaging.flow.retry import RetryPolicy
from casebridge.messaging.listener.settler import is_overdue
from casebridge.messaging.queue.message import Failure, Message, MessageStatus
from casebridge.messaging.queue.outcome import Outcome
from casebridge.settings import QueueSettings
from casebridge.sources.dead_record import announce_dead_record
from tests.support.manual_clock import ManualClock

AT = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)
ERRORS: list[dict[str, Any]] = [
    {}, {"at": None}, {"at": "yesterday"}, {"at": 5}, {"at": bson.DatetimeMS(2**62)}, {"at": AT}, {"at": [AT]},
]  # fmt: skip


def message(error: dict[str, Any]) -> Message:
    origin = {"topic": "t", "partition": 0, "offset": 1, "timestamp": AT, "key": None, "value": b"x", "headers": []}
    return Message.from_document(
        {
            "_id": "m",
            "enqueuedAt": AT,
            "origin": origin,
            "errors": [{"category": "rate_limited", **error}],
            "payload": {},
        }
    )


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_a_message_that_waits_again_is_settled(error: dict[str, Any]) -> None:
    limited = RateLimitedError("fs.rate_limited", "Too many.", "Wait.")
    outcome = RetryPolicy(QueueSettings()).decide(message(error), "step", limited, ManualClock().now())

    assert is_overdue(outcome, timedelta(hours=1)) in {True, False}


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_its_record_has_a_dead_letter(error: dict[str, Any]) -> None:
    failure = Failure(AT, 1, "step", "permanent", "a.b", "Why.", "Do.")

    dead = message(error)
    (effect,) = announce_dead_record(dead, Outcome(dead, MessageStatus.DEAD, "step", failure))

    headers = dict(effect.body["headers"])
    assert headers["kafka_dlt-first-failure"] == AT.isoformat().encode()
