"""The writes that `make bench` counts. A command listener records them, a copy repeats them, and index entries are counted."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from bench.command_log import CommandLog
from bench.write_replay import WriteRecording
from casebridge.database import Database
from casebridge.settings import MongoDBSettings

MESSAGE = {
    "institution": "a.no/test", "examSystem": "NONE", "queue": "q", "dueAt": 1, "orderingKey": "k", "enqueuedAt": 1,
    "correlationId": "c", "status": "enqueued",
}  # fmt: skip
LIVE_ENTRIES = 4
"""The index entries: `_id`, the due time, the correlation id, the ordering key. The other indexes are sparse or partial."""


@pytest.fixture
def copy_names(mongodb_settings: MongoDBSettings) -> Iterator[dict[str, str]]:
    """The names of two further databases with the same indexes."""
    names = {
        "config_database": f"{mongodb_settings.config_database}_copy",
        "oai_database": f"{mongodb_settings.oai_database}_copy",
    }
    copy = Database(mongodb_settings.model_copy(update=names))
    copy.ensure_indexes()
    yield names
    for collection in (copy.orgs, copy.messages):
        collection.database.client.drop_database(collection.database.name)
    copy.close()


@pytest.fixture
def log() -> CommandLog:
    return CommandLog(keep_writes=True)


@pytest.fixture
def client(
    mongodb_settings: MongoDBSettings, log: CommandLog, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client whose commands the log records."""
    monkeypatch.setenv("CASEBRIDGE_MONGODB__URI", mongodb_settings.uri.get_secret_value())
    with MongoClient[dict[str, Any]](mongodb_settings.uri.get_secret_value(), event_listeners=[log]) as opened:
        yield opened


def test_the_life_of_a_message_is_counted(
    database: Database, copy_names: dict[str, str], log: CommandLog, client: MongoClient[dict[str, Any]]
) -> None:
    messages = client[database.messages.database.name]["meldingQ"]
    database.messages.insert_one({**MESSAGE, "_id": "earlier", "orderingKey": "earlier"})
    with WriteRecording(log, database, copy_names) as recorded:
        messages.insert_many([{**MESSAGE, "_id": str(n), "orderingKey": str(n)} for n in range(3)])
        messages.update_one({"_id": "0"}, {"$set": {"status": "processing", "dueAt": 2}})
        messages.update_many({"status": "enqueued"}, {"$set": {"owner": "nobody"}})
        messages.update_many({"status": "no such"}, {"$set": {"owner": "nobody"}})
        messages.delete_many({"_id": {"$in": ["0", "1"]}})
        assert messages.count_documents({}) == 2
    counts = recorded.counts
    assert counts.commands == {"insert": 1, "update": 3, "delete": 1, "aggregate": 1}
    assert counts.documents == {"meldingQ insert": 3, "meldingQ update": 1 + 3, "meldingQ delete": 2}
    assert counts.replayed == counts.documents
    assert counts.entries_changed == {
        "meldingQ insert": 3 * LIVE_ENTRIES,
        "meldingQ update": 2 + 1,  # entries for its due time, and for the index of messages in work
        "meldingQ delete": LIVE_ENTRIES + 1 + LIVE_ENTRIES,
    }
    assert counts.entries_written == {
        "meldingQ insert": 3 * LIVE_ENTRIES,
        "meldingQ update": LIVE_ENTRIES + 1 + 3 * LIVE_ENTRIES,
        "meldingQ delete": LIVE_ENTRIES + 1 + LIVE_ENTRIES,
    }


def test_upserts_and_refused_inserts_are_counted_as_the_server_did_them(
    database: Database, copy_names: dict[str, str], log: CommandLog, client: MongoClient[dict[str, Any]]
) -> None:
    oai = client[database.messages.database.name]
    with WriteRecording(log, database, copy_names) as recorded:
        for moment in (1, 2):
            oai["lanes"].update_one({"_id": {"queue": "q"}}, {"$set": {"wokenAt": moment}}, upsert=True)
        oai["kafkaMessages"].insert_one({"_id": "a"})
        oai.command("insert", "kafkaMessages", documents=[{"_id": "a"}, {"_id": "b"}], ordered=False)
        oai.command("insert", "kafkaMessages", documents=[{"_id": "a"}, {"_id": "c"}], ordered=True)
    assert recorded.counts.documents == {"lanes update": 2, "kafkaMessages insert": 2}
    assert recorded.counts.replayed == recorded.counts.documents
    # the second update of the lane changes its document and no key
    assert recorded.counts.entries_changed == {"lanes update": 1, "kafkaMessages insert": 2}
    assert recorded.counts.entries_written == {"lanes update": 2, "kafkaMessages insert": 2}


def test_without_a_copy_only_commands_are_counted(
    database: Database, log: CommandLog, client: MongoClient[dict[str, Any]]
) -> None:
    with WriteRecording(log, database, None) as recorded:
        client[database.messages.database.name]["meldingQ"].insert_one({"_id": "a"})
    assert (recorded.counts.commands, recorded.counts.documents) == ({"insert": 1}, {})


def test_a_kind_of_write_that_is_not_counted_is_refused(
    database: Database, log: CommandLog, client: MongoClient[dict[str, Any]]
) -> None:
    messages = client[database.messages.database.name]["meldingQ"]
    messages.find_one_and_update({"_id": "a"}, {"$set": {"status": "dead"}}, upsert=True)
    with pytest.raises(ValueError, match="findAndModify"):
        log.check_complete()
