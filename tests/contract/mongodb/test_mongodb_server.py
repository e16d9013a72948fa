"""What casebridge needs from a MongoDB-protocol server, tested on each available server."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from pymongo import IndexModel
from pymongo._csot import remaining
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from casebridge.clock import ServerClock, to_milliseconds
from casebridge.database import Database, insert_absent
from casebridge.settings import MongoDBSettings
from tests.support.indexes import ensure_all_indexes

CASE = "the case"

LANE_INDEX = "institution_1_examSystem_1_queue_1_dueAt_1"


def message(number: int, status: str) -> dict[str, Any]:
    return {"_id": number, "orderingKey": CASE, "enqueuedAt": number, "status": status, "institution": "uis.no/test"}


def test_only_one_message_of_a_case_can_be_in_work(database: Database) -> None:
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


def test_all_hosts_use_the_time_of_the_server(database: Database, mongodb_settings: MongoDBSettings) -> None:
    """Two hosts read the time between two reads by a third one. No time is before the first read or after the last."""
    first, second = (ServerClock(database.server_time) for _ in range(2))
    before = database.server_time()
    read = [first.now(), second.now()]
    after = database.server_time()
    assert all(before <= moment for moment in read)
    assert read[0] <= read[1]
    assert to_milliseconds(read[1]) <= after


def test_a_time_comes_back_as_it_was_written(database: Database) -> None:
    now = ServerClock(database.server_time).now()
    database.messages.insert_one({**message(1, "enqueued"), "dueAt": now})
    assert database.messages.find_one({"dueAt": {"$lte": now}}, {"dueAt": 1}) == {"_id": 1, "dueAt": now}
    assert database.messages.find_one({"dueAt": {"$lt": now}}) is None


def test_a_bulk_insert_names_existing_documents_and_inserts_the_rest(database: Database) -> None:
    documents = [{"_id": str(number)} for number in range(5)]
    assert insert_absent(database.received_keys, documents[1:3]) == set()
    assert insert_absent(database.received_keys, documents) == {"1", "2"}
    assert database.received_keys.count_documents({}) == 5


def test_making_indexes_again_changes_nothing(database: Database) -> None:
    before = sorted(database.messages.index_information())
    ensure_all_indexes(database)
    assert sorted(database.messages.index_information()) == before


def test_hosts_that_make_the_indexes_at_once_make_them_once(mongodb_settings: MongoDBSettings) -> None:
    hosts = [Database(mongodb_settings) for _ in range(3)]
    start = Barrier(len(hosts))

    def make(host: Database) -> None:
        start.wait()
        ensure_all_indexes(host)

    with ThreadPoolExecutor(len(hosts)) as pool:
        list(pool.map(make, hosts))
    made = hosts[0].messages.index_information().values()
    keys = [tuple(index["key"]) for index in made]
    assert len(keys) == len(set(keys))
    assert (("orderingKey", 1),) in keys
    for host in hosts:
        host.close()


def test_an_index_that_is_no_longer_needed_is_dropped(database: Database) -> None:
    database.messages.create_index([("dueAt", 1)], sparse=True)
    ensure_all_indexes(database)
    assert "dueAt_1" not in database.messages.index_information()
    assert LANE_INDEX in database.messages.index_information()


def test_indexes_over_many_documents_may_take_their_time(
    database: Database, mongodb_settings: MongoDBSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer may take longer than the timeout of any other operation."""
    database.messages.drop_indexes()
    waited: list[float | None] = []
    originally = Collection.create_indexes

    def noted(collection: Collection[Any], indexes: list[IndexModel]) -> list[str]:
        waited.append(remaining())
        return originally(collection, indexes)

    monkeypatch.setattr(Collection, "create_indexes", noted)
    ensure_all_indexes(database)
    assert LANE_INDEX in database.messages.index_information()
    assert [seconds is not None and seconds > mongodb_settings.socket_seconds for seconds in waited] == [True]
