"""One case document is full and takes no further field. A write for several cases must still reach the others."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import bson
import pytest

from casebridge.clock import ServerClock
from casebridge.database import Database
from casebridge.exams.explanations.cases import Cases
from tests.support.mongodb_servers import OF_EACH_KIND

pytestmark = OF_EACH_KIND

FULL_BYTES: Final = 16 * 1024 * 1024 - 2
"""Bytes of a document that has room for nothing more."""
KEYS: Final = ["case 0", "full", "case 2"]
WRITES: Final[dict[str, tuple[Callable[[Cases], object], dict[str, Any]]]] = {
    "mark_now": (lambda cases: cases.mark_now(KEYS, "rowGoneToldAt"), {"rowGoneToldAt": {"$exists": True}}),
    "note_identities": (
        lambda cases: cases.note_identities(dict.fromkeys(KEYS, "of another one")),
        {"identityTold": "of another one"},
    ),
    "clear_mark": (lambda cases: cases.clear_mark(KEYS, "deadlineToldAt"), {"deadlineToldAt": {"$exists": False}}),
}


@pytest.fixture
def cases(database: Database) -> Cases:
    database.cases.delete_many({})
    for key in KEYS:
        case = {
            "_id": key, "correlationId": key, "institution": "uis.no/test", "state": "dispatched",
            "deadlineToldAt": datetime(2026, 1, 1, tzinfo=UTC),
        }  # fmt: skip
        room = FULL_BYTES - len(bson.encode({**case, "filler": ""})) if key == "full" else 0
        database.cases.insert_one({**case, "filler": "x" * room})
    return Cases(database, ServerClock(database.server_time), deadline_days=14)


def test_a_full_case_does_not_stop_the_write_of_the_others(cases: Cases, database: Database) -> None:
    cases.withdraw(KEYS)
    assert [row["state"] for row in database.cases.find({}, {"state": 1}).sort("_id", 1)] == [
        "withdrawn", "withdrawn", "dispatched",
    ]  # fmt: skip
    for write, expected in WRITES.values():
        write(cases)
        written = {row["_id"] for row in database.cases.find({"_id": {"$in": KEYS}, **expected}, {"_id": 1})}
        assert written >= {"case 0", "case 2"}, expected
