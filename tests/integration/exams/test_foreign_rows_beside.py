"""A malformed stored document besides the message in work: a key that is no text, a list instead of a text, a full document."""

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
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.integration.messaging.test_foreign_messages import FOR_REAL, message
from tests.support.explanation_rounds import read_requests
from tests.support.malformed_world import PLAIN, carry
from tests.support.world import World

EFFECT: Final = {"id": "e1", "kind": "alert", "body": {}}


@pytest.fixture
def process(world: World) -> Process:
    world.populate(**PLAIN)
    return world.process()


def full(database: Database, document: dict[str, Any]) -> None:
    """Store a document that has room for nothing more."""
    room = 16 * 1024 * 1024 - 2 - len(bson.encode({**document, "filler": ""}))
    database.messages.insert_one({**document, "filler": "x" * room})


def test_a_full_message_blocks_no_effect_of_another(process: Process) -> None:
    now = process.stores.clock.now()
    owing = {"status": "dead", "effects": [EFFECT], "effectsDueAt": now}
    full(process.stores.database, message(process, "full", **owing))
    process.stores.database.messages.insert_one(message(process, "right", orderingKey="y", **owing))
    owed = PendingEffectStore(process.stores.database, process.stores.clock)
    held = owed.claim(10, timedelta(minutes=1))
    assert sorted(pending.key for pending in held) == ["full", "right"]
    assert all(pending.effects for pending in held)
    assert owed.claim(10, timedelta(minutes=1)) == [], "each is held once"


@pytest.mark.parametrize("key", [["a list"], {"a": 1}, 5, None], ids=str)
def test_an_ordering_key_that_is_no_text_stops_no_search(key: Any, process: Process, world: World) -> None:
    read_requests(process, process.stores.institutions.active())
    case = process.stores.database.cases.find_one()
    assert case is not None
    stored = [case["_id"]] if isinstance(key, list) else key
    process.stores.database.messages.insert_one(message(process, "odd", orderingKey=stored))
    assert case["_id"] in process.stores.queue.at_work([case["_id"]])
    process.operators.completeness.account()
    process.capability(Explanations).cases.states_of([case["correlationId"]])
    carry(world, process)
    assert process.stores.database.messages.count_documents({"_id": {"$ne": "odd"}}) == 0, "the others are through"


def test_dead_messages_whose_key_is_no_text_are_moved_and_pruned(process: Process, world: World) -> None:
    process.stores.database.messages.insert_many(
        [message(process, key, status="dead", orderingKey=str(key)) for key in ({"a": 1}, 5, "right")]
    )
    assert process.operators.dead_letters.discard(DeadLetterFilter(), FOR_REAL).changed == 3
    long_ago = process.stores.clock.now() - timedelta(days=4000)
    process.stores.database.messages.update_many({}, {"$set": {"discardedAt": long_ago, "finishedAt": long_ago}})
    # An interrupted move left a copy of each.
    process.stores.database.processed_messages.insert_many(list(process.stores.database.messages.find()))
    process.stores.database.received_keys.insert_one({"_id": {"a": 1}, "firstSeen": long_ago})

    report = process.operators.retention.prune(dry_run=False, asked_by="test")
    assert report.removed >= 3
    assert (
        process.stores.database.messages.count_documents({})
        == process.stores.database.processed_messages.count_documents({})
        == 0
    )


def test_prepare_skips_a_full_document(process: Process, world: World) -> None:
    wrong = {"orgId": "STRASSE", "env": "TEST", "status": "dead"}
    full(process.stores.database, message(process, "full", **{**wrong, "orgId": "STRAßE"}))
    process.stores.database.messages.insert_one(message(process, "right", **wrong))
    for number in range(2):
        document = message(
            process, f"work {number}", status="processing", correlationId="c-9", orderingKey=f"w{number}"
        )
        full(process.stores.database, document)
    assert process.operators.rekeying.run() >= 1
    put_back(process.stores.database, process.stores.clock)
    found = process.stores.database.messages.find_one({"_id": "right"})
    assert found is not None
    assert (found["orgId"], found["env"]) == ("strasse", "test")


@pytest.mark.parametrize("status", [MessageStatus.DEAD, MessageStatus.FAILED])
def test_status_shows_large_causes_and_ids(status: MessageStatus, process: Process) -> None:
    error = {"code": "a.b", "cause": "x" * 6_000_000, "nextAction": "Look."}
    process.stores.database.messages.insert_many(
        [
            message(
                process, f"m{number}", status=status.value, correlationId=f"{number}" + "x" * 6_000_000, errors=[error]
            )
            for number in range(3)
        ]
    )
    shown_status = process.operators.status.read().plain()
    assert len(str(shown_status)) < 10_000
    assert process.operators.dead_letters.replay(DeadLetterFilter(status), Order()).found == 3
