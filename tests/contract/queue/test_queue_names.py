"""Names in other spellings, and corrected names: every operation finds the message where it belongs."""

from datetime import timedelta
from typing import Any, Final

import pytest

from casebridge.database import Database
from casebridge.messaging.outbox.pending_effects import PendingEffectStore
from casebridge.messaging.queue.lane_scan import LaneScan
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.served_environment import ServedEnvironment
from tests.contract.queue.test_queue_malformed_documents import empty, malformed_document, of_contract_11, settle
from tests.support.mongodb_servers import OF_EACH_KIND
from tests.support.queue_calls import HOLD, LEASE, QUEUE, QueueCalls

pytestmark = OF_EACH_KIND

PROD: Final = ServedEnvironment.of("prod")
RIGHT: Final = {"orgId": "uis.no", "env": "prod", "examSystem": "WISEFLOW", "institution": "uis.no/prod"}
SPELLINGS: Final = (
    {"env": "PROD"}, {"env": " Prod "}, {"orgId": "UIS.no"}, {"examSystem": "wiseflow"}, {"institution": "UIS.no/PROD"},
    {"env": "PROD", "orgId": "Uis.No", "institution": "Uis.No/PROD", "examSystem": " WiseFlow"},
)  # fmt: skip


@pytest.fixture
def queue(database: Database) -> QueueCalls:
    empty(database)
    return QueueCalls(database)


def names(database: Database, key: str) -> dict[str, Any]:
    found = database.messages.find_one({"_id": key})
    assert found is not None
    return {name: found.get(name) for name in RIGHT}


@pytest.mark.parametrize("lacks", [(), ("institution", "dueAt")], ids=["ours", "of the contract"])
@pytest.mark.parametrize("status", ["enqueued", "failed", "dead"])
@pytest.mark.parametrize("spelling", SPELLINGS, ids=str)
def test_a_message_is_claimed_in_any_spelling_of_its_names(
    spelling: dict[str, str], status: str, lacks: tuple[str, ...], queue: QueueCalls, database: Database
) -> None:
    document = malformed_document({**RIGHT, **spelling, "status": status})
    for name in lacks:
        document.pop(name)
    database.messages.insert_one(document)
    served = MeldingQ(database, queue.clock, LEASE, PROD)
    other = MeldingQ(database, queue.clock, LEASE, ServedEnvironment.of("test"))

    assert other.claim("another's", 10) == []
    assert len(served.claim("ours", 10)) == (status != "dead")
    if status != "dead" or lacks or "institution" in spelling:
        assert names(database, "odd") == RIGHT
    if status == "dead":
        (first, *rest) = DeadLetterFilter(MessageStatus.DEAD, "UIS.NO/prod").counts()
        (row,) = database.messages.aggregate([first, {"$match": PROD.selection()}, *rest])
        assert row["messages"] == 1


@pytest.mark.parametrize("env", ["prod", "PROD", " Prod ", 5, None, {"a": 1}, "unknown"], ids=str)
def test_pending_effects_are_delivered_in_any_spelling(env: object, queue: QueueCalls, database: Database) -> None:
    """A message died before its names were normalised, or cannot say its environment. It has an alert pending."""
    effect = {"id": "alert", "kind": "alert", "body": {}}
    document = malformed_document(
        {"env": env, "status": "dead", "effects": [effect], "effectsDueAt": queue.clock.now()}
    )
    for collection in (database.messages, database.processed_messages):
        collection.insert_one(document)
    assert len(PendingEffectStore(database, queue.clock, PROD).claim(10, HOLD)) == 2
    queue.pass_time(2 * HOLD)
    others = PendingEffectStore(database, queue.clock, ServedEnvironment.of("test")).claim(10, HOLD)
    assert len(others) == (0 if isinstance(env, str) and "prod" in env.lower() else 2)


@pytest.mark.parametrize("lacking", ["orgId", "env"])
def test_a_message_with_corrected_names_is_replayed_where_it_belongs(
    lacking: str, queue: QueueCalls, database: Database
) -> None:
    """The next action of `casebridge.message_unreadable`, done exactly as written."""
    database.messages.insert_one({**of_contract_11(1, **RIGHT), lacking: None, "institution": None})
    assert queue.claim() == {}
    dead = queue.document("contract 1")
    assert (dead["status"], dead.get("institution"), dead[lacking]) == ("dead", None, "unknown")

    database.messages.update_one({"_id": "contract 1"}, {"$set": {lacking: RIGHT[lacking]}})
    assert queue.replay_as("contract 1", None, MessageStatus.DEAD) == 1
    assert queue.claim_one("contract 1").institution == "uis.no/prod"


def test_a_message_that_is_replayed_without_a_correction_is_set_aside_again(
    queue: QueueCalls, database: Database
) -> None:
    database.messages.insert_one(of_contract_11(1, env="test", examSystem="WISEFLOW"))
    assert queue.claim() == {}
    assert queue.replay_as("contract 1", None, MessageStatus.DEAD) == 1
    assert queue.claim() == {}
    assert queue.document("contract 1")["errors"][-1]["code"] == "casebridge.message_unreadable"


def test_a_message_of_an_earlier_release_takes_its_institution_from_its_corrected_parts(
    queue: QueueCalls, database: Database
) -> None:
    """A release stored an institution with `unknown` and set the message aside. It is not claimed in that lane."""
    database.messages.insert_one(malformed_document({**RIGHT, "institution": "unknown/prod"}))
    scans = [LaneScan(Lane("unknown/prod", QUEUE, "WISEFLOW"))]
    served = MeldingQ(database, queue.clock, LEASE)
    assert served.claim("worker", 10, scans) == []
    assert names(database, "odd") == RIGHT
    assert [message.institution for message in served.claim("worker", 10)] == ["uis.no/prod"]


COUNTS: Final = (
    0.5,
    1.5,
    -1,
    -0.5,
    float("nan"),
    float("inf"),
    2**40,
    True,
    "1",
    None,
    [],
    {"a": 1},
    0,
    1,
    2,
    1.0,
    3.0,
)


@pytest.mark.parametrize("count", COUNTS, ids=str)
@pytest.mark.parametrize("name", ["fence", "attempts", "generation", "takenOver"])
def test_a_message_with_any_count_is_handled_once(
    name: str, count: object, queue: QueueCalls, database: Database
) -> None:
    database.messages.insert_one(malformed_document({name: count}))
    message = queue.claim_one("odd")
    queue.record_step(message, "a step")
    settle(queue, message)
    assert queue.document("odd")["status"] == "dead"


GENERATIONS: Final = (0, 1, 2, None, 1.0, 0.5, 1.5, -1, True, False, "two", "", [], [1], {"a": 1}, float("nan"))


@pytest.mark.parametrize("generation", GENERATIONS, ids=str)
def test_a_message_with_any_generation_is_replayed_and_discarded(
    generation: object, queue: QueueCalls, database: Database
) -> None:
    dead = {"status": "dead", "dueAt": None}
    database.messages.insert_one(malformed_document({**dead, "generation": generation}))
    assert queue.replay_as("odd", generation, MessageStatus.DEAD) == 1
    assert queue.replay_as("odd", generation, MessageStatus.DEAD) == 0
    found = queue.document("odd")
    assert (found["status"], found["generation"]) == ("enqueued", 3 if generation == 2 else 2)

    database.messages.update_one({"_id": "odd"}, {"$set": {**dead, "generation": generation}})
    assert queue.discard_as("odd", generation) == 1
    assert queue.discard_as("odd", generation) == 0


def test_steps_that_are_null_count_as_no_steps(queue: QueueCalls, database: Database) -> None:
    database.messages.insert_one(malformed_document({"steps": None}))
    message = queue.claim_one("odd")
    queue.record_step(message, "first")
    queue.record_step(message, "second")
    queue.fail(message, MessageStatus.FAILED, timedelta(0))
    assert sorted(queue.document("odd")["steps"]) == ["first", "second"]
    again = queue.claim_one("odd")
    assert sorted(again.steps) == ["first", "second"]
    assert queue.finish(again)


def test_a_message_whose_steps_are_null_can_fail(queue: QueueCalls, database: Database) -> None:
    database.messages.insert_one(malformed_document({"steps": None}))
    queue.fail(queue.claim_one("odd"), MessageStatus.DEAD)
    assert queue.document("odd")["steps"] == {}
