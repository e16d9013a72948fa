"""Stored messages of many megabytes, in any field. None blocks another's claim, runs for ever or stays unreported.

Setting a message aside repeats its names in several places. So a text that fits into the message may not fit there.
"""

from typing import Any, Final

import bson
import pytest

from casebridge.database import Database
from casebridge.messaging.queue.lanes import Lanes
from casebridge.messaging.queue.message import LONGEST_KEY, LONGEST_NAME, MessageStatus
from tests.contract.queue.test_queue_malformed_documents import (
    LONG_PAST,
    empty,
    is_in_sight,
    malformed_document,
    of_contract_11,
    settle,
)
from tests.support.mongodb_servers import OF_EACH_KIND
from tests.support.queue_calls import QueueCalls, new_message

pytestmark = OF_EACH_KIND

HUGE: Final = "x" * 9_000_000
"""Two of these are more than a document may have."""
LARGE: Final = HUGE[:300_000]
"""As unusual as `HUGE`, but quicker on a server that keeps it in an index."""
FULL: Final = 16 * 1024 * 1024 - 2
"""Bytes of a document that has room for nothing more."""
TEXTS: Final = (
    "status", "orgId", "env", "queue", "examSystem", "institution", "correlationId", "orderingKey", "enqueuedAt", "dueAt",
    "owner", "claim", "attempts", "fence", "generation", "steps", "effects", "notStored",
)  # fmt: skip


@pytest.fixture
def queue(database: Database) -> QueueCalls:
    empty(database)
    database.alerts.delete_many({})
    database.audit_log.delete_many({})
    return QueueCalls(database)


def filled(document: dict[str, Any], database: Database) -> dict[str, Any]:
    """Store the document with a `filler` that leaves no room."""
    room = FULL - len(bson.encode({**document, "filler": ""}))
    whole = {**document, "filler": "x" * room}
    database.messages.insert_one(whole)
    return whole


def finish_neighbour(queue: QueueCalls, key: str = "neighbour") -> dict[str, Any]:
    """Claim and finish the neighbour. Fail for good whatever else was claimed."""
    queue.accept(new_message(key))
    claimed = queue.claim()
    assert queue.finish(claimed.pop(key))
    for message in claimed.values():
        settle(queue, message)
    return claimed


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize("shape", ["ours", "of another program"])
def test_a_large_text_blocks_no_other_message_and_is_not_copied(
    field: str, shape: str, queue: QueueCalls, database: Database
) -> None:
    whose = {"orgId": "uis.no", "env": "test", "examSystem": "WISEFLOW"}
    document = malformed_document({}) if shape == "ours" else of_contract_11(1, **whose)
    database.messages.insert_one({**document, field: LARGE})

    finish_neighbour(queue)
    Lanes(database, queue.clock).search()

    found = database.messages.find_one({"_id": document["_id"]})
    assert found is not None
    assert is_in_sight(found)
    for collection in (database.audit_log, database.alerts):
        assert all(len(str(row)) < 20 * LONGEST_NAME for row in collection.find())
    assert all(len(str(effect)) < 20 * LONGEST_NAME for effect in found.get("effects", []) if effect != LARGE)


def test_large_texts_in_several_fields_block_no_other_message(queue: QueueCalls, database: Database) -> None:
    """The example of the issue, with each name that setting aside repeats."""
    for field in ("correlationId", "orgId", "env"):
        database.messages.insert_one(
            {"_id": field, "status": "weird", "correlationId": "c1", "orgId": "uis.no", "env": "test", "queue": "q",
             "dueAt": LONG_PAST, field: HUGE}
        )  # fmt: skip
    finish_neighbour(queue)
    Lanes(database, queue.clock).search()
    for field in ("correlationId", "orgId", "env"):
        found = queue.document(field)
        assert (found["status"], found["errors"][0]["code"], found[field]) == (
            "dead", "casebridge.message_unreadable", "unknown",
        )  # fmt: skip
        (alert,) = found["effects"]
        assert alert["kind"] == "alert"


def test_keys_that_together_are_larger_than_one_query(queue: QueueCalls, database: Database) -> None:
    for number in range(2):
        database.messages.insert_one(malformed_document({"_id": f"odd {number}", "orderingKey": f"{number}{HUGE}"}))
    finish_neighbour(queue)
    found = list(database.messages.find())
    assert [document["status"] for document in found] == ["dead"] * 2
    assert all(len(document["orderingKey"]) <= LONGEST_KEY for document in found)


def test_messages_of_one_case_with_a_long_key_stay_in_order(queue: QueueCalls, database: Database) -> None:
    for number in range(2):
        database.messages.insert_one(
            malformed_document({"_id": f"odd {number}", "orderingKey": "x" * (LONGEST_KEY + 1)})
        )
    assert len(queue.claim()) == 1


def test_a_message_without_room_for_its_error_is_dead_and_reported(queue: QueueCalls, database: Database) -> None:
    """One such document only: a small server could not store many of them within the timeout of a call."""
    filled(malformed_document({"status": "weird", "effects": None, "errors": None}), database)
    assert finish_neighbour(queue) == {}
    found = database.messages.find_one({"_id": "odd"}, {"filler": 0})
    assert found is not None
    assert (found["status"], "dueAt" in found) == ("dead", False)
    (alert,) = database.alerts.find()
    assert (alert["code"], alert["state"]) == ("casebridge.message_unwritable", "owed")
    assert finish_neighbour(queue, "another") == {}, "and it is not claimed again"

    assert queue.discard_as("odd", 1) == 1, "it can be taken out of everybody's way"
    database.messages.update_one({"_id": "odd"}, {"$set": {"filler": "", "status": "dead"}})
    assert queue.replay_as("odd", 1, MessageStatus.DEAD) == 1, "or shortened, and replayed"
    assert queue.finish(queue.claim_one("odd"))
