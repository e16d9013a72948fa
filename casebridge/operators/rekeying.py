"""Brings what earlier versions wrote under the names that this version looks for: `casebridge prepare` and storage version 1.

Earlier versions took organisation, environment and exam system as the configuration spelled them. Where that is not the one
spelling (`casebridge.tenant`), messages and cases get the names by which lanes, polls and the counts of `status` find them. A
case keeps its id: it is looked up under the old one, too (`exams.explanations.cases`). Pauses and watermarks are found in both
forms and stay as they are. It may be run again, broken off at any moment, and run side by side with itself: a change leaves
nothing to change again.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from pymongo.collection import Collection

from casebridge.database import Database, Document
from casebridge.messaging.queue.lanes import forget_old
from casebridge.messaging.queue.spelling import NAMES, misspelt, respell
from casebridge.storage.migration import AT_ONCE, Progress


class Rekeying:
    """Reads each collection once, in groups of names; changes only documents whose names are not in their one spelling."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def run(self) -> int:
        """Returns how many documents were changed or removed."""
        changed = 0
        for progress in respell_names(self._database):
            changed = progress.changed
        return changed


def respell_names(database: Database) -> Iterator[Progress]:
    """In batches; `total` is what is misspelt at the beginning."""
    changed = forget_old(database)
    collections = (database.messages, database.processed_messages, database.cases)
    groups = [(collection, *group) for collection in collections for group in _misspelt(collection)]
    total = sum(count for *_, count in groups)
    done = 0
    yield Progress(done, total, changed)
    for collection, found, right, _ in groups:
        for keys in _batches(collection, found):
            changed += respell(collection, {"_id": {"$in": keys}, **found}, right)
            done += len(keys)
            yield Progress(done, max(done, total), changed)


def _batches(collection: Collection[Document], found: Document) -> Iterator[list[Any]]:
    with collection.find(found, {"_id": 1}, batch_size=AT_ONCE) as cursor:
        while keys := [document["_id"] for document in islice(cursor, AT_ONCE)]:
            yield keys


def _misspelt(collection: Collection[Document]) -> Iterator[tuple[Document, Document, int]]:
    """The names that stand in documents and are to be others: by what to find them, what to set, and how many they are."""
    names = {name: f"${name}" for name in NAMES}
    groups = collection.aggregate([{"$group": {"_id": names, "documents": {"$sum": 1}}}])
    for group in list(groups):
        found: Document = group["_id"]
        # What lacks a name is not ours to name: whoever claims it sets it aside, in sight.
        if all(isinstance(found.get(name), str) for name in NAMES) and (right := misspelt(found)):
            yield found, right, int(group["documents"])
