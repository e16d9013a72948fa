"""One stored document beside the message in hand: a key that is no text, a list where a text is, no room for a word."""

from datetime import timedelta
from typing import Any, Final

import bson
import pytest

from casebridge.database import Database
from casebridge.messaging.outbox.pending_effects import PendingEffectStore
from casebridge.messaging.queue.concurrent_claims import put_back
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.wiring.bridge import Bridge
from tests.integration.messaging.test_foreign_messages import FOR_REAL, message
from tests.support.malformed_world import PLAIN, carry
from tests.support.world import World

EFFECT: Final = {"id": "e1", "kind": "alert", "body": {}}


@pytest.fixture
def bridge(world: World) -> Bridge:
    world.populate(**PLAIN)
    return world.bridge()


def full(database: Database, document: dict[str, Any]) -> None:
    """Store it with as much as it has room for."""
    room = 16 * 1024 * 1024 - 2 - len(bson.encode({**document, "filler": ""}))
    database.messages.insert_one({**document, "filler": "x" * room})


def test_one_that_takes_no_token_holds_back_no_other_effect(bridge: Bridge) -> None:
    now = bridge.clock.now()
    owing = {"status": "dead", "effects": [EFFECT], "effectsDueAt": now}
    full(bridge.database, message(bridge, "full", **owing))
    bridge.database.messages.insert_one(message(bridge, "right", orderingKey="y", **owing))
    owed = PendingEffectStore(bridge.database, bridge.clock)
    held = owed.claim(10, timedelta(minutes=1))
    assert sorted(pending.key for pending in held) == ["full", "right"]
    assert all(pending.effects for pending in held)
    assert owed.claim(10, timedelta(minutes=1)) == [], "each is held once"


@pytest.mark.parametrize("key", [["a list"], {"a": 1}, 5, None], ids=str)
def test_an_ordering_key_that_is_no_text_ends_no_look(key: Any, bridge: Bridge, world: World) -> None:
    bridge.synchronisation.read_requests(bridge.institutions.active())
    case = bridge.database.cases.find_one()
    assert case is not None
    stored = [case["_id"]] if isinstance(key, list) else key
    bridge.database.messages.insert_one(message(bridge, "odd", orderingKey=stored))
    assert case["_id"] in bridge.queue.at_work([case["_id"]])
    bridge.completeness.account()
    bridge.cases.standing_of([case["correlationId"]])
    carry(world, bridge)
    assert bridge.database.messages.count_documents({"_id": {"$ne": "odd"}}) == 0, "the others are through"


def test_letters_that_are_no_text_by_key_are_moved_out_and_pruned(bridge: Bridge, world: World) -> None:
    bridge.database.messages.insert_many(
        [message(bridge, key, status="dead", orderingKey=str(key)) for key in ({"a": 1}, 5, "right")]
    )
    assert bridge.dead_letters.discard(DeadLetterFilter(), FOR_REAL).changed == 3
    long_ago = bridge.clock.now() - timedelta(days=4000)
    bridge.database.messages.update_many({}, {"$set": {"discardedAt": long_ago, "finishedAt": long_ago}})
    # A move that was broken off left a copy of each.
    bridge.database.processed_messages.insert_many(list(bridge.database.messages.find()))
    bridge.database.received_keys.insert_one({"_id": {"a": 1}, "firstSeen": long_ago})

    report = bridge.retention.prune(dry_run=False, asked_by="test")
    assert report.removed >= 3
    assert bridge.database.messages.count_documents({}) == bridge.database.processed_messages.count_documents({}) == 0


def test_prepare_passes_over_one_that_takes_no_change(bridge: Bridge, world: World) -> None:
    wrong = {"orgId": "STRASSE", "env": "TEST", "status": "dead"}
    full(bridge.database, message(bridge, "full", **{**wrong, "orgId": "STRAßE"}))
    bridge.database.messages.insert_one(message(bridge, "right", **wrong))
    for number in range(2):
        document = message(bridge, f"work {number}", status="processing", correlationId="c-9", orderingKey=f"w{number}")
        full(bridge.database, document)
    assert bridge.rekeying.run() >= 1
    put_back(bridge.database, bridge.clock)
    found = bridge.database.messages.find_one({"_id": "right"})
    assert found is not None
    assert (found["orgId"], found["env"]) == ("strasse", "test")


@pytest.mark.parametrize("status", [MessageStatus.DEAD, MessageStatus.FAILED])
def test_status_tells_of_large_causes_and_ids(status: MessageStatus, bridge: Bridge) -> None:
    error = {"code": "a.b", "cause": "x" * 6_000_000, "nextAction": "Look."}
    bridge.database.messages.insert_many(
        [
            message(
                bridge, f"m{number}", status=status.value, correlationId=f"{number}" + "x" * 6_000_000, errors=[error]
            )
            for number in range(3)
        ]
    )
    told = bridge.status.read().plain()
    assert len(str(told)) < 10_000
    assert bridge.dead_letters.replay(DeadLetterFilter(status), Order()).found == 3
