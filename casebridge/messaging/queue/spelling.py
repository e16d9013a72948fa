"""The one spelling of the names in a stored document: organisation, environment, exam system, institution.

Lanes, the served environment and every choice by institution compare names as they are written. What another program wrote is
brought into the one spelling (`casebridge.tenant`) before it is claimed, and by `casebridge prepare`.
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
    """The names that are to be others, as they are to be. A name that the document lacks is not made up.

    An institution is the name of its two parts, where the document says both: whatever stood there before one was corrected.
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
    """Set the right names in all that have those `found`; return how many were changed. One that takes none keeps its own."""
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
    """Whether it is a part of an institution's name that somebody knows."""
    return is_name(value) and normal_name(value) != UNKNOWN


@dataclass(frozen=True)
class Respelling:
    """How far it is, in documents. `total` is what was misspelt at the beginning."""

    done: int
    total: int
    changed: int


def respell_all(collection: Collection[dict[str, Any]]) -> int:
    """Bring the names of all documents of a collection into their one spelling; return how many were changed."""
    *_, last = respell_in_batches([collection])
    return last.changed


def respell_in_batches(collections: Iterable[Collection[dict[str, Any]]]) -> Iterator[Respelling]:
    """Likewise, of several collections, telling after each batch how far it is.

    Reads each collection once, in groups of names. It may be run again, broken off, and run side by side with itself.
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
    """The names that stand in documents and are to be others: by what to find them, what to set, and how many they are."""
    names = {name: f"${name}" for name in NAMES}
    for group in list(collection.aggregate([{"$group": {"_id": names, "documents": {"$sum": 1}}}])):
        found: dict[str, Any] = group["_id"]
        # What lacks a name is not ours to name: whoever claims it sets it aside, in sight.
        if all(isinstance(found.get(name), str) for name in NAMES) and (right := misspelt(found)):
            yield found, right, int(group["documents"])
