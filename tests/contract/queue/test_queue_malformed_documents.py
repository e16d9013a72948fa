"""Stored documents of any form. None blocks another's claim, and each is claimed, adopted or visibly set aside.

Hypothesis puts arbitrary BSON values into any field of a message. Its neighbour of the same institution and queue must be
claimed, and the malformed message must end in a state that a person sees.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import bson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casebridge.clock import Clock
from casebridge.database import Database
from casebridge.messaging.queue.message import Message, MessageStatus
from casebridge.messaging.queue.unreadable import unreadable
from tests.support.absent import ABSENT
from tests.support.manual_clock import ManualClock
from tests.support.queue_calls import QUEUE, QueueCalls, new_message

LONG_PAST: Final = datetime(2020, 1, 1, tzinfo=UTC)
UNFINISHED: Final = ("enqueued", "processing", "failed")
KNOWN: Final = (*UNFINISHED, "processed", "dead", "discarded")
LEAVES: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    st.binary(max_size=8),
    st.integers(-(10**12), 10**13).map(lambda seconds: LONG_PAST + timedelta(milliseconds=seconds)),
    st.sampled_from(
        [
            bson.Int64(7), bson.Decimal128("1.5"), bson.ObjectId("6b0a52066ff03b37db214595"), bson.Regex("^a", "i"),
            bson.Timestamp(1, 1), bson.MinKey(), bson.MaxKey(), bson.Binary(b"x", 5), bson.Code("x"),
            bson.DBRef("c", 1),
        ]
    ),
)  # fmt: skip
VALUES: Final = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
FIELDS: Final = (
    "schemaVersion", "queue", "status", "orgId", "env", "examSystem", "institution", "orderingKey", "correlationId",
    "payload", "enqueuedAt", "dueAt", "attempts", "generation", "fence", "steps", "errors", "effects", "owner",
    "claim", "takenOver", "alone", "origin", "settledFence", "effectsDueAt", "notStored", "replays",
)  # fmt: skip


def malformed_document(changed: dict[str, Any]) -> dict[str, Any]:
    document = {**new_message("odd").document(LONG_PAST), **changed}
    return {name: value for name, value in document.items() if value is not ABSENT}


def empty(database: Database) -> None:
    for collection in (database.messages, database.processed_messages, database.lanes, database.received_keys):
        collection.delete_many({})


def is_in_sight(document: dict[str, Any]) -> bool:
    """Whether a person or a later claim finds it: it is dead with an error, waits for its time, or is finished."""
    status, due_at = document.get("status"), document.get("dueAt")
    if status == "dead":
        return bool(document.get("errors"))
    return (status in UNFINISHED and isinstance(due_at, datetime)) or status in ("processed", "discarded")


def settle(queue: QueueCalls, message: Message) -> None:
    """Settle a message like the settler: unreadable or failed."""
    assert unreadable(message.unreadable or ("none",)).code
    queue.fail(message, MessageStatus.DEAD, effect_ids=["the alert"])


@given(changed=st.dictionaries(st.sampled_from(FIELDS), st.one_of(VALUES, st.just(ABSENT)), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_value_of_a_field_blocks_another_message(changed: dict[str, Any], database: Database) -> None:
    empty(database)
    queue = QueueCalls(database)
    document = malformed_document(changed)
    was_at_rest = document.get("status") in ("processed", "dead", "discarded")
    database.messages.insert_one(document)
    queue.accept(new_message("neighbour"))

    claimed = queue.claim()
    assert "neighbour" in claimed
    assert queue.finish(claimed["neighbour"])
    if "odd" in claimed:
        settle(queue, claimed["odd"])
    found = database.messages.find_one({"_id": "odd"})
    assert found is not None
    assert was_at_rest or is_in_sight(found), found

    generation = found.get("generation", 1)
    queue.replay_as("odd", generation, MessageStatus.DEAD)
    queue.discard_as("odd", generation)
    queue.accept(new_message("later"))
    assert "later" in queue.claim("another")
    queue.deliver_pending()


@pytest.mark.parametrize(
    "key", [1, bson.ObjectId("6b0a52066ff03b37db214595"), {"a": 1}, bson.Binary(b"x"), None, "x" * 5000]
)
def test_an_id_that_is_no_text_or_too_long_is_set_aside(key: object, database: Database) -> None:
    queue = QueueCalls(database)
    database.messages.insert_one({**malformed_document({}), "_id": key})
    queue.accept(new_message("neighbour"))
    assert list(queue.claim()) == ["neighbour"]
    found = database.messages.find_one({"_id": {"$eq": key}})
    assert found is not None
    assert (found["status"], found["errors"][0]["code"]) == ("dead", "casebridge.message_unreadable")


def of_contract_11(number: int, **more: Any) -> dict[str, Any]:
    """A message as a taken-over installation has it (contract 11), with fields that it may have besides."""
    return {
        "_id": f"contract {number}",
        "queue": QUEUE,
        "status": "enqueued",
        "attempts": 0,
        "payload": {},
        "correlationId": f"c{number}",
        "enqueuedAt": LONG_PAST,
        "processingAt": None,
        "finishedAt": None,
        "error": None,
        **more,
    }


def test_a_message_of_contract_11_is_adopted_if_it_names_its_institution(database: Database) -> None:
    queue = QueueCalls(database)
    whose = {"orgId": "uis.no", "env": "test", "examSystem": "WISEFLOW"}
    database.messages.insert_many([of_contract_11(number, **whose) for number in range(3)])
    claimed = queue.claim()
    assert sorted(claimed) == ["contract 0", "contract 1", "contract 2"]
    assert {message.institution for message in claimed.values()} == {"uis.no/test"}
    assert all(queue.finish(message) for message in claimed.values())


def test_a_message_that_another_program_has_claimed_is_left_until_its_lease_ends(database: Database) -> None:
    clock: Clock = ManualClock()
    queue = QueueCalls(database, clock)
    whose = {"orgId": "uis.no", "env": "test", "examSystem": "WISEFLOW", "status": "processing"}
    database.messages.insert_one(of_contract_11(1, **whose, processingAt=clock.now()))
    assert queue.claim() == {}
    queue.pass_time(timedelta(minutes=10))
    assert queue.claim_one("contract 1").taken_over


@pytest.mark.parametrize("lacking", ["orgId", "env", "queue", "status"])
def test_a_message_that_names_no_institution_is_set_aside(lacking: str, database: Database) -> None:
    queue = QueueCalls(database)
    document = of_contract_11(1, orgId="uis.no", env="test", examSystem="WISEFLOW")
    del document[lacking]
    database.messages.insert_one(document)
    assert queue.claim() == {}
    found = queue.document("contract 1")
    assert (found["status"], found["errors"][0]["code"]) == ("dead", "casebridge.message_unreadable")
    assert lacking in found["errors"][0]["cause"]
    (alert,) = found["effects"]
    assert (alert["kind"], alert["body"]["correlationId"]) == ("alert", "c1")


def test_a_malformed_count_is_corrected(database: Database) -> None:
    queue = QueueCalls(database)
    database.messages.insert_one(malformed_document({"attempts": None, "fence": "x", "takenOver": []}))
    message = queue.claim_one("odd")
    assert (message.attempts, message.fence) == (1, 1)
    assert queue.finish(message)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"text": "x" * 17_000_000}, "casebridge.document_too_large"),
        ({"text": "\ud800"}, "casebridge.document_refused"),
        ({"number": 2**70}, "casebridge.document_refused"),
    ],
    ids=["17 MB", "half a character", "a large number"],
)
def test_a_message_that_cannot_be_stored_is_accepted_without_its_content(
    content: dict[str, Any], code: str, database: Database
) -> None:
    queue = QueueCalls(database)
    bad = new_message("bad")
    bad.payload.clear()
    bad.payload.update({**content, "caseId": "its case"})
    assert queue.accept(new_message("first"), bad, new_message("last")) == ["first", "bad", "last"]
    claimed = queue.claim()
    assert sorted(claimed) == ["bad", "first", "last"]
    assert (claimed["bad"].not_stored, claimed["bad"].payload) == (code, {"caseId": "its case"})
    assert queue.accept(bad) == [], "known from now on"
