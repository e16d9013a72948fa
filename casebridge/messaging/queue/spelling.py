"""The one spelling of the names in a stored document: organisation, environment, exam system, institution.

Lanes, the served environment and every choice by institution compare names as they are written. What another program wrote is
brought into the one spelling (`casebridge.tenant`) before it is claimed, and by `casebridge prepare`.
"""

from collections.abc import Mapping
from typing import Any, Final

from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.messaging.queue.message import is_name
from casebridge.tenant import UNKNOWN, institution_name, normal_exam_system, normal_institution, normal_name

NAMES: Final = ("orgId", "env", "examSystem", "institution")


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


def respell_all(collection: Collection[dict[str, Any]]) -> int:
    """Bring the names of all documents of a collection into their one spelling; return how many were changed.

    Reads the collection once, in groups of names. It may be run again, broken off, and run side by side with itself.
    """
    changed = 0
    for group in list(collection.aggregate([{"$group": {"_id": {name: f"${name}" for name in NAMES}}}])):
        found: dict[str, Any] = group["_id"]
        # What lacks a name is not ours to name: whoever claims it sets it aside, in sight.
        if all(isinstance(found.get(name), str) for name in NAMES) and (right := misspelt(found)):
            changed += respell(collection, found, right)
    return changed
