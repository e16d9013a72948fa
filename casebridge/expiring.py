"""Documents that may be removed when they are old enough. Each package declares its own; retention decides how old."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Final

from pymongo.collection import Collection

from casebridge.database import Document, identity_of

NAMES: Final = dict.fromkeys(("correlationId", "institution", "orgId", "env"), 1)
"""The fields of a document that are read before it is removed."""


def nothing(_documents: list[Document]) -> set[bytes]:
    """The default for `needed`: none of these documents is needed any more."""
    return set()


class ExpiringDocuments:
    """One collection whose documents expire."""

    def __init__(
        self,
        name: str,
        collection: Collection[Document],
        dated_by: str,
        needed: Callable[[list[Document]], set[bytes]] = nothing,
        still: Document | None = None,
    ) -> None:
        """Declare documents that expire.

        - `name`: their name in reports.
        - `dated_by`: the field with the time from which a document's age is counted.
        - `needed`: returns those of a batch that must stay (`database.identity_of`).
        - `still`: a condition that must also be true at the moment of removal. Leave it out where it cannot change, as for
          finished, received or audited documents: with a condition, some servers do not use the index on `_id`.
        """
        self.name = name
        self._collection = collection
        self._dated_by = dated_by
        self._needed = needed
        self._still = still or {}

    @contextmanager
    def older_than(self, before: datetime, size: int) -> Iterator[Iterator[list[Document]]]:
        """Batches of at most `size` documents that are older than `before`, with the fields `NAMES`."""
        selection = {self._dated_by: {"$lt": before}, **self._still}
        with self._collection.find(selection, NAMES).batch_size(size) as documents:
            yield _in_batches(documents, size)

    def needed(self, batch: list[Document]) -> set[bytes]:
        """The identities of the documents that must stay."""
        return self._needed(batch)

    def remove(self, documents: list[Document]) -> int:
        """Remove these documents. Returns how many were removed."""
        ids = [document["_id"] for document in documents]
        return self._collection.delete_many({"_id": {"$in": ids}, **self._still}).deleted_count


def _in_batches(documents: Iterator[Document], size: int) -> Iterator[list[Document]]:
    while batch := list(islice(documents, size)):
        yield batch


def identities(documents: list[Document]) -> set[bytes]:
    return {identity_of(document["_id"]) for document in documents}
