"""Brings what earlier versions wrote under the names that this version looks for: part of `casebridge prepare`.

Earlier versions took organisation, environment and exam system as the configuration spelled them. Where that is not the one
spelling (`casebridge.tenant`), messages and cases get the names by which lanes, polls and the counts of `status` find them. A
case keeps its id: it is looked up under the old one, too (`exams.explanations.cases`). Pauses and watermarks are found in both
forms and stay as they are. It may be run again, broken off at any moment, and run side by side with itself: a change leaves
nothing to change again.
"""

from collections.abc import Iterator

from pymongo.collection import Collection

from casebridge.database import Database, Document
from casebridge.messaging.queue.lanes import Lanes
from casebridge.messaging.queue.spelling import NAMES, misspelt, respell


class Rekeying:
    """Reads each collection once, in groups of names; changes only documents whose names are not in their one spelling."""

    def __init__(self, database: Database, lanes: Lanes) -> None:
        self._lanes = lanes
        self._collections = (database.messages, database.processed_messages, database.cases)

    def run(self) -> int:
        """Returns how many documents were changed or removed."""
        changed = self._lanes.forget_old()
        for collection in self._collections:
            for found, right in _misspelt(collection):
                changed += respell(collection, found, right)
        return changed


def _misspelt(collection: Collection[Document]) -> Iterator[tuple[Document, Document]]:
    """The names that stand in documents and are to be others: by what to find them, and what to set."""
    groups = collection.aggregate([{"$group": {"_id": {name: f"${name}" for name in NAMES}}}])
    for group in list(groups):
        found: Document = group["_id"]
        # What lacks a name is not ours to name: whoever claims it sets it aside, in sight.
        if all(isinstance(found.get(name), str) for name in NAMES) and (right := misspelt(found)):
            yield found, right
