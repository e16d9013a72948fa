"""The queue's inbox on each MongoDB-protocol server: an accepted message is stored once and never accepted again."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import pytest

from casebridge.database import Database
from casebridge.messaging.queue.message import MessageStatus
from tests.support.queue_calls import QUEUE, QueueCalls, new_message

SOURCES = 6
MESSAGES = 25
WRITTEN = datetime(2025, 12, 8, 9, 14, 22, 345000, tzinfo=UTC)


@pytest.fixture
def queue(database: Database) -> QueueCalls:
    return QueueCalls(database)


def test_a_new_message_is_enqueued_and_its_key_is_stored(queue: QueueCalls, database: Database) -> None:
    assert queue.accept(new_message("one"), new_message("two")) == ["one", "two"]
    assert queue.accept(new_message("two"), new_message("three")) == ["three"]
    assert {key: queue.document(key)["status"] for key in ("one", "two", "three")} == dict.fromkeys(
        ("one", "two", "three"), MessageStatus.ENQUEUED.value
    )
    assert database.received_keys.count_documents({}) == 3


def test_a_message_that_comes_twice_at_once_is_one(queue: QueueCalls, database: Database) -> None:
    assert queue.accept(new_message("one"), new_message("one")) == ["one"]
    assert database.messages.count_documents({}) == 1


def test_accepting_no_messages_does_nothing(queue: QueueCalls) -> None:
    assert queue.accept() == []


def test_sources_that_race_for_the_same_keys_add_each_once(database: Database) -> None:
    start = Barrier(SOURCES)

    def read(number: int) -> list[str]:
        source = QueueCalls(database)
        # Each source has an order of its own, so that they meet in the middle of their batches.
        messages = [new_message(f"message {(place + number * 5) % MESSAGES}") for place in range(MESSAGES)]
        start.wait()
        return source.accept(*messages)

    with ThreadPoolExecutor(SOURCES) as pool:
        brought = [key for keys in pool.map(read, range(SOURCES)) for key in keys]

    everything = sorted(f"message {number}" for number in range(MESSAGES))
    assert sorted(brought) == everything
    assert sorted(document["_id"] for document in database.messages.find({}, {"_id": 1})) == everything
    assert sorted(document["_id"] for document in database.received_keys.find({}, {"_id": 1})) == everything


def test_a_key_that_a_dead_source_did_not_write_is_added(queue: QueueCalls, database: Database) -> None:
    queue.accept(new_message("one"))
    database.received_keys.delete_one({"_id": "one"})

    assert queue.accept(new_message("one"), new_message("two")) == ["two"]

    assert database.messages.count_documents({}) == 2
    assert database.received_keys.count_documents({}) == 2


def test_a_copy_of_a_finished_message_is_not_claimed(queue: QueueCalls, database: Database) -> None:
    """A source checked the key, froze, and writes the message after another copy was finished."""
    queue.accept(new_message("one"))
    assert queue.finish(queue.claim_one("one"))
    queue.deliver_pending()
    database.messages.insert_one(new_message("one").document(queue.clock.now()))

    assert queue.claim() == {}
    assert database.messages.count_documents({}) == 0
    assert database.processed_messages.count_documents({"_id": "one"}) == 1


def test_a_finished_message_is_never_accepted_again(queue: QueueCalls, database: Database) -> None:
    queue.accept(new_message("one"))
    assert queue.finish(queue.claim_one("one"))
    queue.deliver_pending()
    assert queue.accept(new_message("one")) == []
    assert database.messages.count_documents({}) == 0


def test_a_document_of_the_first_version_is_handled(queue: QueueCalls, database: Database) -> None:
    """The document as version 1 wrote it. It is frozen here and never adapted to new code."""
    database.messages.insert_one(
        {
            "_id": "aa41",
            "schemaVersion": 1,
            "queue": QUEUE,
            "status": "failed",
            "orgId": "uis.no",
            "env": "test",
            "examSystem": "WISEFLOW",
            "institution": "uis.no/test",
            "orderingKey": "41",
            "correlationId": "c041",
            "payload": {"caseId": "41"},
            "enqueuedAt": WRITTEN,
            "dueAt": WRITTEN,
            "attempts": 2,
            "generation": 1,
            "fence": 2,
            "settledFence": 2,
            "steps": {
                "find_exam": {
                    "at": WRITTEN,
                    "fence": 1,
                    "milliseconds": 41,
                    "result": {"flowId": 7},
                    "last": False,
                }
            },
            "errors": [],
            "effects": [],
        }
    )
    message = queue.claim_one("aa41")
    assert (message.attempts, message.fence, message.enqueued_at) == (3, 3, WRITTEN)
    assert message.steps["find_exam"].result == {"flowId": 7}
    assert queue.finish(message)
    found = queue.stored("aa41")
    assert found is not None
    assert found.processed


def test_a_document_without_most_fields_becomes_visibly_dead(queue: QueueCalls, database: Database) -> None:
    database.messages.insert_one({"_id": "bare", "status": "enqueued", "dueAt": WRITTEN})

    assert queue.claim() == {}

    document = queue.document("bare")
    (error,) = document["errors"]
    assert (document["status"], error["code"]) == ("dead", "casebridge.message_unreadable")
    assert "queue, orgId, env is missing" in error["cause"]
    assert [effect["kind"] for effect in document["effects"]] == ["alert"]
    assert "dueAt" not in document
