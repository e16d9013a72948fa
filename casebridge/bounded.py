"""Lists that are read whole are bounded, in rows and in bytes; whoever shows one says what was left out.

A number that must be complete is counted by the database, or summed over a cursor; only what is named is held.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, TypeVar, cast

import bson

Row = TypeVar("Row", bound=Mapping[str, Any])

MOST_ROWS: Final = 500
MOST_BYTES: Final = 2_000_000
AT_ONCE: Final = 100
"""Documents that a server sends at once, for `batch_size`: a reply is held whole."""


LONGEST_REACH_BACK_DAYS: Final = 36_500
"""As far back as FS can be read: a hundred years, which every calendar holds."""
LONGEST_WAIT_SECONDS: Final = 86_400
"""As long as anybody waits for an outcome: a day."""
KEYS_AT_ONCE: Final = 5000
"""Keys that one question names: a question is one document, and no document may have more than 16 MB."""


class BoundedRows(list[Row]):
    """The rows that were kept, and what was left out of what was looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.oversized: list[Row] = []
        """Rows that are larger than the bound alone, without their contents: only `_id`."""
        self.is_cut = False
        """Whether there were more rows than the bounds allow, so that the rest was not looked at."""


def bounded(documents: Iterable[Row], most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES) -> BoundedRows[Row]:
    """The first documents, as many as the bounds allow. One that is larger than the bound alone is passed over."""
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
    """Keys by the number that one question may name."""
    remaining = iter(keys)
    while part := list(islice(remaining, size)):
        yield part


def cut_note(shown: int, found: int, narrower: str) -> str | None:
    """What a reader is told of a list that was cut; `None` where it is whole."""
    return f"The first {shown} of {found}; narrow it with {narrower}." if found > shown else None
