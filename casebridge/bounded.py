"""Bounds for lists that are in memory as a whole, in rows and in bytes. Code that shows such a list says what was left out.

A number that must be complete is counted by the database, or summed over a cursor.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, TypeVar, cast

import bson

Row = TypeVar("Row", bound=Mapping[str, Any])

MOST_ROWS: Final = 500
MOST_BYTES: Final = 2_000_000
AT_ONCE: Final = 100
"""Documents that a server sends at once, for `batch_size`: a reply is in memory as a whole."""


LONGEST_REACH_BACK_DAYS: Final = 36_500
"""How far back FS may be read, at most: a hundred years. Every such date is valid."""
LONGEST_WAIT_SECONDS: Final = 86_400
"""How long a command may wait for an outcome, at most: a day."""
KEYS_AT_ONCE: Final = 5000
"""The most keys in one query. A query is one document, and no document may have more than 16 MB."""


class BoundedRows(list[Row]):
    """The rows within the bounds, and what was left out."""

    def __init__(self) -> None:
        super().__init__()
        self.oversized: list[Row] = []
        """Rows that each exceed the bound alone. They have `_id` only."""
        self.is_cut = False
        """Whether there were more rows than the bounds allow. The rest was not read."""


def bounded(documents: Iterable[Row], most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES) -> BoundedRows[Row]:
    """The first documents, as many as the bounds allow. A document that exceeds the bound alone is left out."""
    rows: BoundedRows[Row] = BoundedRows()
    size = 0
    for document in documents:
        if len(rows) + len(rows.oversized) >= most_rows:
            rows.is_cut = True
            break
        row_bytes = len(bson.encode(document))
        if row_bytes > most_bytes:
            rows.oversized.append(cast("Row", {"_id": document.get("_id")}))
            continue
        size += row_bytes
        if size > most_bytes:
            rows.is_cut = True
            break
        rows.append(document)
    return rows


def in_parts(keys: Iterable[str], size: int = KEYS_AT_ONCE) -> Iterator[list[str]]:
    """The keys in lists of at most `size`, one for each query."""
    remaining = iter(keys)
    while part := list(islice(remaining, size)):
        yield part


def cut_note(shown: int, found: int, narrower: str) -> str | None:
    """A sentence for the reader of a list that was cut; `None` if it is complete."""
    return f"The first {shown} of {found}; narrow it with {narrower}." if found > shown else None
