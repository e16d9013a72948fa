"""What casebridge asks of a MongoDB-protocol server, held against the one of this run (`CASEBRIDGE_MONGODB_URI`)."""

from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError

from casebridge.database import Database

CASE = "the case"


def message(number: int, status: str) -> dict[str, Any]:
    return {"_id": number, "orderingKey": CASE, "enqueuedAt": number, "status": status, "institution": "uis.no/test"}


def test_one_message_of_a_case_in_work(database: Database) -> None:
    database.messages.insert_many([message(1, "processing"), message(2, "enqueued"), message(3, "enqueued")])
    with pytest.raises(DuplicateKeyError):
        database.messages.update_many({"_id": {"$in": [2, 3]}}, {"$set": {"status": "processing"}})
    assert database.messages.count_documents({"status": "processing"}) == 1
    database.messages.update_one({"_id": 1}, {"$set": {"status": "processed"}})
    assert database.messages.update_one({"_id": 2}, {"$set": {"status": "processing"}}).modified_count == 1


def test_the_partial_index_hides_nothing_from_a_search(database: Database) -> None:
    database.messages.insert_many([message(1, "processing"), message(2, "enqueued"), message(3, "dead")])
    for selection in (
        {"status": "enqueued"},
        {"orderingKey": CASE, "status": {"$in": ["enqueued"]}},
        {"status": "enqueued", "institution": "uis.no/test"},
    ):
        assert [document["_id"] for document in database.messages.find(selection)] == [2]
    assert database.messages.count_documents({"orderingKey": CASE}) == 3


def test_a_write_is_acknowledged_when_it_is_in_the_journal(database: Database) -> None:
    assert database.messages.write_concern.document == {"w": "majority", "j": True}
    assert database.messages.insert_one(message(1, "enqueued")).acknowledged


def test_the_server_tells_its_time(database: Database) -> None:
    assert database.server_time().year >= 2026


def test_making_indexes_again_changes_nothing(database: Database) -> None:
    before = sorted(database.messages.index_information())
    database.ensure_indexes()
    assert sorted(database.messages.index_information()) == before
