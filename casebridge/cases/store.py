"""Reads and writes the cases of one kind, which have a collection of their own.

The queue has the work to be done; the case says how far it has come. Every write sets absolute values and moves a case only
along the transitions that its lifecycle allows. So a repeated or late write changes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, OperationFailure

from casebridge.bounded import AT_ONCE, BoundedRows, bounded, in_parts
from casebridge.cases.case import BASE_FIELDS, DISCARDED, NOT_SET_ASIDE, Case, Link
from casebridge.cases.case_advance import CaseAdvance
from casebridge.clock import Clock
from casebridge.correlation_id import new_correlation_id
from casebridge.database import CASE_INDEXES, Document, create_missing, insert_absent
from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.messaging.queue.message import is_text
from casebridge.messaging.queue.spelling import respell_all
from casebridge.readable_documents import readable
from casebridge.served_environment import ServedEnvironment
from casebridge.tenant import institution_name

Kind = TypeVar("Kind", bound=Case)
CHECKED_AT_ONCE: Final = 1000
DEADLINE_FIELDS: Final = dict.fromkeys(("correlationId", "institution", "deadline", "state", "setAside"), 1)


class CaseStore(Generic[Kind]):
    """Reads and writes one collection of cases. Thread-safe. It implements `operator_cases.OperatorCases`."""

    def __init__(
        self, collection: Collection[Document], clock: Clock, kind: type[Kind], fields: Iterable[str] = ()
    ) -> None:
        """`fields` are the fields that only this kind has. Reads of several cases leave other fields out."""
        self._collection = collection
        self._clock = clock
        self._kind = kind
        self._fields = dict.fromkeys((*BASE_FIELDS, *fields), 1)
        self._open_states = [str(state) for state in kind.lifecycle.open]

    def ensure_indexes(self) -> None:
        """Create the indexes that are missing. It is slow on some servers, so call it at set-up only."""
        create_missing(self._collection, CASE_INDEXES)

    # Write

    def new_document(self, key: str, org_id: str, env: str, fields: Mapping[str, Any]) -> Document:
        """The document of a new case, in the first state and with a new correlation id. `fields` are those of its kind."""
        now = self._clock.now()
        return {
            "_id": key,
            "schemaVersion": 1,
            "correlationId": new_correlation_id(now),
            "orgId": org_id,
            "env": env,
            "institution": institution_name(org_id, env),
            "state": str(self._kind.lifecycle.initial),
            "openedAt": now,
            **NOT_SET_ASIDE,
            **fields,
        }

    def insert_new(self, documents: Sequence[Document]) -> list[Kind]:
        """Insert these documents and return the stored cases. Existing cases do not change. It takes one insert and one find."""
        if not documents:
            return []
        insert_absent(self._collection, list(documents))
        return self.by_ids([document["_id"] for document in documents])

    def advance(self, advances: Sequence[CaseAdvance]) -> None:
        """Move cases forward, with one command for all. If some cannot move, a second command sets the values of all."""
        if not advances:
            return
        lifecycle = self._kind.lifecycle
        moved = self._collection.bulk_write([advance.move(lifecycle) for advance in advances])
        notes = [advance.note() for advance in advances if advance.values]
        if moved.matched_count < len(advances) and notes:
            self._collection.bulk_write(notes)

    def move(self, keys: Iterable[object], to: str) -> None:
        """Move these cases to the state `to`, if the transition is allowed. The time is stored in `<state>At`.

        Keys that are not text are ignored. Messages that casebridge did not write may have such keys.
        """
        self._write_each(
            [key for key in keys if is_text(key)],
            {"state": {"$in": list(self._kind.lifecycle.before(to))}},
            {"$set": {"state": str(to), f"{to}At": self._clock.now()}},
        )

    def set_aside(self, key: object, code: str) -> None:
        """Mark the case: its message is dead, and a person must look at it. The next successful step clears the mark.

        A case that is not open does not change: an old message that dies again says nothing about it. A `key` that is not text is
        ignored. Messages that casebridge did not write may have such keys.
        """
        if not is_text(key):
            return
        self._collection.update_one(
            {"_id": {"$eq": key}, "state": {"$in": self._open_states}},
            {"$set": {"setAside": code, "setAsideAt": self._clock.now()}},
        )

    def discard(self, keys: Iterable[str], *, by: str, reason: str) -> None:
        """Mark cases as discarded by an operator. The next successful step clears the mark, if the source asks again."""
        self._collection.update_many(
            {"_id": {"$in": list(keys)}, "state": {"$in": self._open_states}, "setAside": {"$ne": None}},
            {
                "$set": {
                    "setAside": DISCARDED,
                    "discardedAt": self._clock.now(),
                    "discardedBy": by,
                    "discardReason": reason,
                }
            },
        )

    def bring_back(self, keys: Iterable[str], code: str) -> None:
        """Set discarded cases aside again. `code` is the error code for which they were set aside before."""
        self._collection.update_many(
            {"_id": {"$in": list(keys)}, "setAside": DISCARDED},
            {"$set": {"setAside": code}, "$unset": {"discardedAt": "", "discardedBy": "", "discardReason": ""}},
        )

    def link(self, key: str, link: Link) -> None:
        """Add a link to another case. A link that the case already has is not added again."""
        self._collection.update_one({"_id": {"$eq": key}}, {"$addToSet": {"links": link.document()}})

    def mark_now(self, keys: Iterable[str], field: str) -> None:
        """Write the present time into a field of these cases, for example when an alert has named them."""
        self._write_each(keys, {}, {"$set": {field: self._clock.now()}})

    def clear_mark(self, keys: Iterable[str], field: str) -> None:
        """Remove the field from these cases. If the same thing happens again, it counts as new."""
        self._write_each(keys, {}, {"$unset": {field: ""}})

    def respell_names(self) -> int:
        """Write the names of institutions in their normal spelling. Return how many cases changed (`operators.rekeying`)."""
        return respell_all(self._collection)

    # Read

    def by_ids(self, keys: Iterable[str]) -> list[Kind]:
        known = {"_id": {"$in": [key for key in keys if is_text(key)]}}
        return readable(self._collection.find(known, self._fields), self._kind.from_document)

    def get(self, key: str) -> Kind | None:
        """The case, or `None`. A key that is not text gives `None`: as a query it might find any case."""
        document = self._collection.find_one({"_id": {"$eq": key}}) if is_text(key) else None
        return self._kind.from_document(document) if document else None

    def by_correlation_id(self, correlation_id: str) -> Kind | None:
        documents = self._collection.find({"correlationId": {"$eq": correlation_id}}).limit(1)
        return next(iter(readable(documents, self._kind.from_document)), None)

    def knows_case(self, correlation_id: str) -> bool:
        return self._collection.find_one({"correlationId": {"$eq": correlation_id}}, {"_id": 1}) is not None

    def knows_institution(self, institution: str) -> bool:
        return self._collection.find_one({"institution": {"$eq": institution}}, {"_id": 1}) is not None

    def open_of(self, institution: str, fields: Iterable[str] = ()) -> Iterator[Document]:
        """Iterate over the raw open cases of an institution. They have `fields`, ids, names and the mark `setAside`."""
        shown = dict.fromkeys(("correlationId", "institution", "orgId", "setAside", *fields), 1)
        for state in self._open_states:  # no `$in`, because some servers then read every case
            yield from self._collection.find({"institution": institution, "state": state}, shown)

    def counts(self) -> Iterable[Document]:
        """Iterate over the numbers of cases for each institution, state and code of `setAside`."""
        names = {"institution": "$institution", "state": "$state", "setAside": "$setAside"}
        return self._collection.aggregate([{"$group": {"_id": names, "cases": {"$sum": 1}}}], batchSize=AT_ONCE)

    def count(self) -> int:
        """The number of all cases that were ever opened."""
        return self._collection.count_documents({})

    def states_of(self, correlation_ids: Iterable[str]) -> dict[str, str]:
        """The state of each case, by correlation id. For open cases that wait for a person it is `set_aside`."""
        fields = {"correlationId": 1, "state": 1, "setAside": 1}
        rows = (
            row
            for part in in_parts(correlation_ids)
            for row in self._collection.find({"correlationId": {"$in": part}}, fields)
        )
        return {
            row["correlationId"]: "set_aside"
            if row.get("setAside") and row.get("state") in self._open_states
            else str(row.get("state"))
            for row in rows
            if is_text(row["correlationId"])
        }

    # Read for reports and checks

    def count_due_by(self, moment: datetime) -> int:
        """The number of open cases whose deadline is at `moment` or earlier, without the discarded ones."""
        return self._collection.count_documents(self._due_by(moment))

    def due_by(self, moment: datetime, limit: int) -> BoundedRows[Document]:
        """The cases that `count_due_by` counts, with `DEADLINE_FIELDS`, the most urgent first."""
        found = self._collection.find(self._due_by(moment), DEADLINE_FIELDS, batch_size=AT_ONCE)
        return bounded(found.sort("deadline", 1).limit(limit), limit)

    def _due_by(self, moment: datetime) -> Document:
        return {
            "state": {"$in": self._open_states},
            "deadline": {"$lte": moment},
            "setAside": {"$ne": DISCARDED},
        }

    def needing_message(self, opened_before: datetime) -> Iterator[list[str]]:
        """Iterate over the keys of the cases that need a message, in parts, so that they are never all in memory."""
        for state in self._kind.lifecycle.needs_message:
            selection = {"state": str(state), "openedAt": {"$lt": opened_before}, "setAside": {"$ne": DISCARDED}}
            found = iter(self._collection.find(selection, {"_id": 1}, batch_size=CHECKED_AT_ONCE))
            while part := [document["_id"] for document in islice(found, CHECKED_AT_ONCE)]:
                yield [key for key in part if isinstance(key, str)]

    def still_needing_message(self, keys: Iterable[str]) -> dict[str, str]:
        """Those of these cases that still need a message, as correlation ids by key."""
        needing = self._kind.lifecycle.needs_message
        return {case.id: case.correlation_id for case in self.by_ids(keys) if case.state in needing}

    def keeping(self, correlation_ids: Iterable[str], served: ServedEnvironment) -> set[str]:
        """Those of these cases whose received keys must not be pruned: open cases, and cases of other environments.

        The state is compared here and not by the query: with a second condition some servers no longer use the index.
        """
        names = [name for name in correlation_ids if is_text(name)]
        fields = {"correlationId": 1, "state": 1, "institution": 1}
        found = self._collection.find({"correlationId": {"$in": names}}, fields)
        return {
            document["correlationId"]
            for document in found
            if is_text(document.get("correlationId"))
            and (document.get("state") in self._open_states or not served.serves(document.get("institution")))
        }

    # Write many cases; an error with one does not stop the others

    def _write_each(self, keys: Iterable[str], where: Document, change: Document) -> None:
        """Make the same change in all these cases with one command.

        If one of them cannot take the change, for example because its document is full, each is changed by itself.
        """
        keys = list(keys)
        try:
            self._collection.update_many({"_id": {"$in": keys}, **where}, change)
        except OperationFailure as error:
            if is_away(error):
                raise
            log_defect(error)
            self._write_apart([UpdateOne({"_id": {"$eq": key}, **where}, change) for key in keys])

    def _write_apart(self, changes: list[UpdateOne]) -> None:
        """Make all changes with one command. An error with one document does not stop the others."""
        try:
            self._collection.bulk_write(changes, ordered=False)
        except BulkWriteError as error:
            if is_away(error) or (error.details or {}).get("writeConcernErrors"):
                raise
            log_defect(error)
