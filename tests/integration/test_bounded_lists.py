"""What operators are shown is bounded: no read brings whole messages over, however large and however many they are."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from pymongo import monitoring

from assets.dispatched_requests import pending_cases
from assets.standing import standing_metadata
from casebridge.exams.request_reader import QUEUE
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.bridge import Bridge
from tests.world import World

MESSAGES = 60
SIZE = 100_000
MOST_BYTES = 200_000
"""Far less than two messages of each hundred; what is shown of a message is some hundred bytes."""


class _Brought(monitoring.CommandListener):
    """Bytes of the replies that this process got."""

    bytes = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Counted when it is answered."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self.bytes += len(str(event.reply))

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Brought nothing."""


_brought = _Brought()
monitoring.register(_brought)

READS: dict[str, Callable[[Bridge], object]] = {
    "pending cases": lambda bridge: pending_cases(bridge, timedelta(minutes=2)),
    "status": lambda bridge: bridge.status.read(),
    "standing": standing_metadata,
    "dead list": lambda bridge: bridge.dead_letters.find(DeadLetterFilter(), 20),
    "dead show": lambda bridge: bridge.dead_letters.show("c-1"),
    "where": lambda bridge: bridge.roads.by_correlation_id("c-1"),
    "dry run": lambda bridge: bridge.dead_letters.replay(DeadLetterFilter(), Order()),
    "replay": lambda bridge: bridge.dead_letters.replay(DeadLetterFilter(), Order(100, False, "r", "a")),
    "discard": lambda bridge: bridge.dead_letters.discard(DeadLetterFilter(), Order(100, False, "r", "a")),
    "nothing lost": lambda bridge: bridge.accounting.account(),
}


@pytest.mark.parametrize("name", READS)
def test_a_read_brings_no_contents(name: str, world: World) -> None:
    world.populate(institutions=1, courses=1, requests=0, variety=False)
    bridge = world.bridge()
    key = bridge.institutions.active()[0].key
    error = {
        "at": bridge.clock.now(),
        "attempt": 1,
        "step": "s",
        "category": "permanent",
        "code": "a.b",
        "cause": "c",
        "nextAction": "n",
    }
    bridge.database.messages.insert_many(
        {
            "_id": f"m-{number}", "queue": QUEUE, "status": "dead" if number % 2 else "enqueued", "institution": key,
            "orgId": "o", "env": "test", "examSystem": "WISEFLOW", "correlationId": "c-1" if number < 2 else f"c-{number}",
            "orderingKey": f"k-{number}", "enqueuedAt": bridge.clock.now(), "dueAt": bridge.clock.now(), "generation": 1,
            "attempts": 1, "errors": [error] * 3, "payload": {"text": "x" * SIZE},
            "origin": {"topic": "t", "partition": 0, "offset": number, "value": b"x" * SIZE, "key": b"k", "headers": []},
        }
        for number in range(MESSAGES)
    )  # fmt: skip

    before = _brought.bytes
    READS[name](bridge)

    assert 0 < _brought.bytes - before < MOST_BYTES
