"""Calculates how many index entries a write changes, from the indexes of the collection and the document before and after.

The rules are MongoDB's (manual, "Indexes"):

- A document has one entry in each index, or one for each different value if a field of the key is an array (multikey).
- A sparse index leaves out a document that has none of the fields of its key.
- A partial index leaves out a document that its filter does not match.
- A missing field counts as null.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import bson

MISSING: Final = object()
Entry = tuple[str, bytes]
"""The name of an index, and the values of its key."""


@dataclass(frozen=True)
class Index:
    """One index of a collection. `only` is its partial filter."""

    name: str
    fields: tuple[str, ...]
    sparse: bool
    only: Mapping[str, Any]

    @classmethod
    def from_listed(cls, listed: Mapping[str, Any]) -> "Index":
        """From one document of `listIndexes`. Raises `ValueError` for a filter other than one of equal values."""
        only = dict(listed.get("partialFilterExpression") or {})
        if any(isinstance(value, Mapping) or name.startswith("$") for name, value in only.items()):
            raise ValueError(f"the partial filter of index {listed['name']} is not one of equal values")
        return cls(listed["name"], tuple(listed["key"]), bool(listed.get("sparse")), only)

    def entries(self, document: Mapping[str, Any]) -> frozenset[Entry]:
        """The entries that a document has in this index."""
        if any(value not in list(_values(document, name.split("."))) for name, value in self.only.items()):
            return frozenset()
        values = [list(_values(document, field.split("."))) for field in self.fields]
        if self.sparse and all(one == [MISSING] for one in values):
            return frozenset()
        keys = product(*([None if value is MISSING else value for value in one] for one in values))
        return frozenset((self.name, bson.encode({"key": list(key)})) for key in keys)


@dataclass(frozen=True)
class EntryCounts:
    """Index entries of one write.

    - `changed`: entries that are added or removed because their key changed.
    - `written`: all entries of a written document. A server that stores a changed document as a new one (DocumentDB) writes them
      all.
    """

    changed: int
    written: int


def entry_counts(
    indexes: Sequence[Index], before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> EntryCounts:
    """`before` is `None` for an insert, `after` for a delete. A write that changes nothing writes no entry."""
    if before == after:
        return EntryCounts(0, 0)
    old, new = _all_entries(indexes, before), _all_entries(indexes, after)
    return EntryCounts(len(old ^ new), len(old if after is None else new))


def _all_entries(indexes: Sequence[Index], document: Mapping[str, Any] | None) -> frozenset[Entry]:
    if document is None:
        return frozenset()
    return frozenset(entry for index in indexes for entry in index.entries(document))


def _values(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """The values at a path: for an array, one for each element; `MISSING` if there is none."""
    if not path:
        yield from value if isinstance(value, list) and value else [value]
    elif isinstance(value, Mapping):
        yield from _values(value[path[0]], path[1:]) if path[0] in value else [MISSING]
    elif isinstance(value, list) and value:
        for element in value:
            yield from _values(element, path)
    else:
        yield MISSING
