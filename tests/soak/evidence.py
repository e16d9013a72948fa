"""The files that are kept of a soak that fails, for those who must find the cause.

Each soak has one folder: both databases, what the simulators recorded, the logs of the processes, and for each count its findings
with their messages, audit entries and cases. All persons are invented, so there are no personal data.
"""

import json
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from bson import json_util
from pymongo.database import Database as MongoDatabase

from casebridge.database import Database, Document
from tests.soak.checks import Checks
from tests.soak.installation import Installation
from tests.soak.reporting import key_of, key_of_case
from tests.support.world import World

CALLS: Final = 2_000
"""As many as the simulators remember."""


def keep(installation: Installation, checks: Checks, folder: Path, seed: int) -> Path:
    """Write all of it below `folder`; returns the folder of this soak."""
    kept = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-seed-{seed}"
    kept.mkdir(parents=True)
    world = installation.world
    for database in (world.database.messages.database, world.database.orgs.database):
        _dump(database, kept / "databases" / database.name)
    rows, calls = world.control.cases(), world.control.requests_log(limit=CALLS)
    recorded = {
        "summary": world.control.summary(),
        "cases": rows,
        "calls": calls,
        "slack": world.control.slack_messages(),
        "laas": world.control.laas_documents(),
    }
    for name, value in recorded.items():
        _write(kept / "simulators" / f"{name}.json", value)
    for process in installation.processes:
        (kept / "logs").mkdir(exist_ok=True)
        shutil.copy(process.child.log, kept / "logs" / f"{process.name}.log")
    _write(kept / "counts.json", _counts(world, checks, rows, calls))
    return kept


def _dump(database: "MongoDatabase[Document]", folder: Path) -> None:
    """One document a line, in MongoDB's extended JSON, as `mongoimport` reads it."""
    folder.mkdir(parents=True)
    for name in database.list_collection_names():
        with (folder / f"{name}.json").open("w") as file:
            for document in database[name].find():
                file.write(json_util.dumps(document, ensure_ascii=False) + "\n")


def _counts(world: World, checks: Checks, rows: list[dict[str, Any]], calls: list[dict[str, Any]]) -> dict[str, Any]:
    """For each count that is not 0, and each kind of finding: the names, and the documents and calls that contain them."""
    return {
        count: {
            kind: [{"name": name, **_about(world, name, rows, calls)} for name in dict.fromkeys(names)]
            for kind, names in parts.items()
            if names
        }
        for count, parts in checks.why.items()
        if any(parts.values())
    }


def _about(world: World, name: str, rows: Iterable[dict[str, Any]], calls: list[dict[str, Any]]) -> dict[str, Any]:
    """A name is `case` and a number, the key of a message, the id of an entry or a correlation id."""
    database = world.database
    words = [word for word in name.removeprefix("case ").split(":") if word]
    row = next((one for one in rows if name == f"case {one['caseId']}"), None)
    case = _case_of(database, row, words)
    if case is not None:
        words.append(case["correlationId"])
        row = row or _row_of(rows, case)
    messages = [
        message
        for collection in (database.messages, database.processed_messages)
        for message in collection.find({"$or": [{"_id": {"$in": words}}, {"correlationId": {"$in": words}}]})
    ]
    entries = list(database.audit_log.find({"correlationId": {"$in": words}}).sort("time", 1))
    request = row["explanationRequestId"] if row else None
    named = [str(one) for one in (request, row["examId"] if row else None) if one]
    return {
        "simulators": row,
        "case": case,
        "messages": messages,
        "audit": entries,
        "calls": [call for call in calls if any(one in str(call.get("path")) for one in named)],
    }


def _case_of(database: Database, row: dict[str, Any] | None, words: list[str]) -> Document | None:
    if row is None:
        return database.cases.find_one({"correlationId": {"$in": words}})
    found = database.cases.find({"personlopenr": row["personlopenr"]})
    return next((one for one in found if key_of_case(one) == key_of(row)), None)


def _row_of(rows: Iterable[dict[str, Any]], case: Document) -> dict[str, Any] | None:
    return next((one for one in rows if key_of(one) == key_of_case(case)), None)


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(json.loads(json_util.dumps(value)), indent=1, ensure_ascii=False))
