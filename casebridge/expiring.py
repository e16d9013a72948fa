"""Documents that may be removed once they are old enough: each room says which of its own, retention says how old."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Final

from pymongo.collection import Collection

from casebridge.database import Document, identity_of

NAMES: Final = dict.fromkeys(("correlationId", "institution", "orgId", "env"), 1)
"""The fields that are read of a document before it is removed."""


def nothing(_documents: list[Document]) -> set[bytes]:
    """Of these documents, none is needed any more."""
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
        """`name` is what reports call them, `dated_by` the field that says how old a document is.

        `needed` names those of a batch that must stay (`database.identity_of`). `still` must hold at the moment of removal, too.
        What was finished, received or audited stays so, and needs no such condition: with one some servers would leave the
        index of ids.
        """
        self.name = name
        self._collection = collection
        self._dated_by = dated_by
        self._needed = needed
        self._still = still or {}

    @contextmanager
    def older_than(self, before: datetime, size: int) -> Iterator[Iterator[list[Document]]]:
        """Batches of documents from before that moment, with the fields `NAMES`."""
        selection = {self._dated_by: {"$lt": before}, **self._still}
        with self._collection.find(selection, NAMES).batch_size(size) as documents:
            yield _in_batches(documents, size)

    def needed(self, batch: list[Document]) -> set[bytes]:
        """Those that something still needs."""
        return self._needed(batch)

    def remove(self, documents: list[Document]) -> int:
        """Return how many were removed."""
        ids = [document["_id"] for document in documents]
        return self._collection.delete_many({"_id": {"$in": ids}, **self._still}).deleted_count


def _in_batches(documents: Iterator[Document], size: int) -> Iterator[list[Document]]:
    while batch := list(islice(documents, size)):
        yield batch


def identities(documents: list[Document]) -> set[bytes]:
    return {identity_of(document["_id"]) for document in documents}
