"""Repeats recorded writes, one at a time, in a copy of the databases, and counts the index entries of each.

An update command does not say which documents it changes, nor what they were before. So each document of the copy is read before
and after the write. This takes time. It is done after the measured work, and in databases of its own.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from pymongo.collection import Collection
from pymongo.database import Database as MongoDatabase
from pymongo.errors import BulkWriteError, OperationFailure
from pymongo.write_concern import WriteConcern

from bench.command_log import CommandLog, Write
from bench.index_entries import EntryCounts, Index, entry_counts
from bench.program import open_database
from casebridge.database import Database, identity_of

DUPLICATE_KEY: Final = 11000
Document = dict[str, Any]
Change = tuple[Document | None, Document | None]
"""A document before and after a write. `None` means that there is no document."""


class WriteCounts:
    """The number of commands by name, and the documents and index entries for each collection and write command."""

    def __init__(self) -> None:
        self.commands: Counter[str] = Counter()
        self.documents: Counter[str] = Counter()
        """Documents that were inserted, changed or deleted, as the server reported."""
        self.replayed: Counter[str] = Counter()
        """The same for the repeated writes. It differs if concurrent writes to one document are repeated in another order."""
        self.entries_changed: Counter[str] = Counter()
        self.entries_written: Counter[str] = Counter()

    def note(self, write: Write, entries: Sequence[EntryCounts]) -> None:
        name = f"{write.collection} {write.name}"
        self.documents[name] += write.documents
        self.replayed[name] += sum(1 for one in entries if one.written)
        self.entries_changed[name] += sum(one.changed for one in entries)
        self.entries_written[name] += sum(one.written for one in entries)

    def as_json(self) -> dict[str, dict[str, int]]:
        return {name: dict(counter) for name, counter in vars(self).items()}


class WriteRecording:
    """Counts the commands that are sent while its context is open. At the end, it repeats the writes in the databases `copy`.

    `source` is the benchmark's own connection to the databases that are written. Without `copy`, only commands are counted.
    """

    def __init__(self, log: CommandLog, source: Database, copy: Mapping[str, str] | None) -> None:
        self.counts = WriteCounts()
        self._log = log
        self._source = source
        self._names = copy

    def __enter__(self) -> "WriteRecording":
        if self._names:
            with open_database(self._names) as copy:
                copy_documents(self._source, copy)
        self._commands_before, self._writes_before = self._log.counts.copy(), len(self._log.writes)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        commands, writes = self._log.counts - self._commands_before, self._log.writes[self._writes_before :]
        if self._names and error is None:
            self._log.check_complete()
            with open_database(self._names) as copy:
                self.counts = replay(writes, self._source, copy)
        self.counts.commands = commands


def copy_documents(source: Database, copy: Database) -> None:
    """Copy the documents that exist before the recorded writes. The copy has its indexes already."""
    for one, other in _pairs(source, copy):
        for name in one.list_collection_names():
            if documents := list(one[name].find()):
                other[name].insert_many(documents)


def replay(writes: Iterable[Write], source: Database, copy: Database) -> WriteCounts:
    """Apply the writes to the copy, in their order. They were recorded on `source`."""
    by_name = {one.name: other for one, other in _pairs(source, copy)}
    indexes: dict[tuple[str, str], list[Index]] = {}
    counts = WriteCounts()
    for write in writes:
        # A repeated write need not survive a kill of the server, so it does not wait for the disk.
        collection = by_name[write.database][write.collection].with_options(write_concern=WriteConcern(w=1, j=False))
        place = (write.database, write.collection)
        changes = list(_apply(write, collection))
        # Read after the write: if it was the first write to the collection, the index on `_id` exists only now.
        if place not in indexes:
            indexes[place] = [Index.from_listed(one) for one in collection.list_indexes()]
        counts.note(write, [entry_counts(indexes[place], before, after) for before, after in changes])
    return counts


def _pairs(source: Database, copy: Database) -> Iterator[tuple["MongoDatabase[Document]", "MongoDatabase[Document]"]]:
    yield source.orgs.database, copy.orgs.database
    yield source.messages.database, copy.messages.database


def _apply(write: Write, collection: "Collection[Document]") -> Iterator[Change]:
    match write.name:
        case "insert":
            yield from _insert(collection, write.command["documents"], ordered=write.command.get("ordered", True))
        case "update":
            for statement in write.command["updates"]:
                yield from _update(collection, statement)
        case "delete":
            for statement in write.command["deletes"]:
                found = list(collection.find(statement["q"], limit=statement["limit"]))
                collection.delete_many({"_id": {"$in": [one["_id"] for one in found]}})
                yield from ((one, None) for one in found)


def _insert(collection: "Collection[Document]", documents: list[Document], *, ordered: bool) -> Iterator[Change]:
    """Insert the documents. Those that were refused as duplicates before are refused again."""
    refused: set[int] = set()
    try:
        collection.insert_many(documents, ordered=ordered)
    except BulkWriteError as error:
        problems = error.details["writeErrors"]
        if any(problem["code"] != DUPLICATE_KEY for problem in problems):
            raise
        refused = {problem["index"] for problem in problems}
        if ordered:  # the server stopped at the first refused document
            refused = set(range(min(refused), len(documents)))
    yield from ((None, document) for place, document in enumerate(documents) if place not in refused)


def _update(collection: "Collection[Document]", statement: Mapping[str, Any]) -> Iterator[Change]:
    """Apply one statement of an update command; return each document before and after it."""
    found = list(collection.find(statement["q"], limit=0 if statement.get("multi") else 1))
    if found and not statement.get("multi"):
        statement = {**statement, "q": {"$and": [statement["q"], {"_id": {"$eq": found[0]["_id"]}}]}}
    try:
        reply = collection.database.command("update", collection.name, updates=[statement])
    except OperationFailure as error:
        if error.code != DUPLICATE_KEY:
            raise
        return
    if reply.get("writeErrors"):
        return
    before = {identity_of(one["_id"]): one for one in found}
    ids = [one["_id"] for one in (*found, *reply.get("upserted", ()))]
    for after in collection.find({"_id": {"$in": ids}}):
        yield before.get(identity_of(after["_id"])), after
