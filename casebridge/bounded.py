"""Lists that are read whole are bounded, in rows and in bytes; whoever shows one says what was left out.

A number that must be complete is counted by the database, or summed over a cursor; only what is named is held.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, TypeVar

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


def bounded(documents: Iterable[Row], most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES) -> list[Row]:
    """The first documents, as many as the bounds allow. A document that is larger than the bound alone ends the list, too."""
    rows: list[Row] = []
    size = 0
    for document in documents:
        size += len(bson.encode(document))
        if len(rows) >= most_rows or size > most_bytes:
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
