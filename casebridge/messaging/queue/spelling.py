"""The one spelling of the names in a stored document: organisation, environment, exam system, institution.

Lanes, the served environment and every choice by institution compare names literally. Names that another program wrote are
brought into the one spelling (`casebridge.tenant`) before a claim, and by `casebridge prepare`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.messaging.queue.message import is_name
from casebridge.tenant import UNKNOWN, institution_name, normal_exam_system, normal_institution, normal_name

NAMES: Final = ("orgId", "env", "examSystem", "institution")
RESPELT_AT_ONCE: Final = 500
"""Documents that one batch changes: some 10 MB at most, well within the time of one operation."""


def misspelt(document: Mapping[str, Any]) -> dict[str, Any]:
    """The names that must change, with their right spelling. A name that the document lacks is not added.

    If the document has both parts of the institution, its name is built from them: one of them may have been corrected.
    """
    org_id, env, exam_system, institution = (document.get(name) for name in NAMES)
    right = {name: normal_name(value) for name, value in (("orgId", org_id), ("env", env)) if is_name(value)}
    if is_name(exam_system) and exam_system != UNKNOWN:
        right["examSystem"] = normal_exam_system(exam_system)
    if says(org_id) and says(env):
        right["institution"] = institution_name(org_id, env)
    elif is_name(institution):
        right["institution"] = normal_institution(institution)
    return {name: value for name, value in right.items() if document.get(name) != value}


def respell(collection: Collection[dict[str, Any]], found: Mapping[str, Any], right: Mapping[str, Any]) -> int:
    """Set the names `right` in all documents that match `found`. Returns how many were changed.

    A document that does not take them keeps its own. Raises the driver's errors while the database is away.
    """
    try:
        return collection.update_many(found, {"$set": right}).modified_count
    except OperationFailure as error:
        if is_away(error):
            raise
    changed = 0
    for document in collection.find(found, {"_id": 1}):
        try:
            changed += collection.update_one({"_id": {"$eq": document["_id"]}}, {"$set": right}).modified_count
        except OperationFailure as error:
            if is_away(error):
                raise
            log_defect(error)
    return changed


def says(value: object) -> bool:
    """Whether it is a known part of an institution's name: a name, and not `unknown`."""
    return is_name(value) and normal_name(value) != UNKNOWN


@dataclass(frozen=True)
class Respelling:
    """The progress, in documents. `total` is the number that were misspelt at the beginning."""

    done: int
    total: int
    changed: int


def respell_all(collection: Collection[dict[str, Any]]) -> int:
    """Bring the names in all documents of a collection into their one spelling. Returns how many documents were changed."""
    *_, last = respell_in_batches([collection])
    return last.changed


def respell_in_batches(collections: Iterable[Collection[dict[str, Any]]]) -> Iterator[Respelling]:
    """The same for several collections. Yields the progress after each batch.

    Reads each collection once, in groups of names. It may be repeated, ended at any point, and run twice at once.
    """
    groups = [(collection, *group) for collection in collections for group in _misspelt(collection)]
    total, done, changed = sum(count for *_, count in groups), 0, 0
    yield Respelling(done, total, changed)
    for collection, found, right, _ in groups:
        for keys in _batches(collection, found):
            changed += respell(collection, {"_id": {"$in": keys}, **found}, right)
            done += len(keys)
            yield Respelling(done, max(done, total), changed)


def _batches(collection: Collection[dict[str, Any]], found: dict[str, Any]) -> Iterator[list[Any]]:
    with collection.find(found, {"_id": 1}, batch_size=RESPELT_AT_ONCE) as cursor:
        while keys := [document["_id"] for document in islice(cursor, RESPELT_AT_ONCE)]:
            yield keys


def _misspelt(collection: Collection[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any], int]]:
    """The groups of documents with misspelt names: what to find them by, what to set, and how many there are."""
    names = {name: f"${name}" for name in NAMES}
    for group in list(collection.aggregate([{"$group": {"_id": names, "documents": {"$sum": 1}}}])):
        found: dict[str, Any] = group["_id"]
        # A document that lacks a name is left alone: the process that claims it corrects it or sets it aside.
        if all(isinstance(found.get(name), str) for name in NAMES) and (right := misspelt(found)):
            yield found, right, int(group["documents"])
