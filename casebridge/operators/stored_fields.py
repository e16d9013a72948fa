"""Readers for fields of stored documents that may be absent, null, or of a type that no release writes.

An operator must see documents that no release can read. So these readers never raise. They return a default for a value of
another type.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from casebridge.database import Document
from casebridge.messaging.queue.message import UNKNOWN

LONGEST: Final = 2000
"""Characters of a text that is shown to operators. Our own sentences are shorter."""


def short(name: str) -> Document:
    """A text for an aggregation, cut to `LONGEST`, so that one reply can have many. Null if the value is not a text."""
    return {"$cond": [{"$eq": [{"$type": f"${name}"}, "string"]}, {"$substrCP": [f"${name}", 0, LONGEST]}, None]}


def text(document: object, name: str, default: str = UNKNOWN) -> str:
    """A text; `default` for anything else."""
    value = document.get(name) if isinstance(document, Mapping) else None
    return value[:LONGEST] if isinstance(value, str) and value else default


def number(document: object, name: str, default: int = 0) -> int:
    """A whole number; `default` for anything else, also for true and false."""
    value = document.get(name) if isinstance(document, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 NaN
        return default
    return int(value) if abs(value) < 2**63 else default


def time(document: object, name: str) -> datetime | None:
    """A time, with its zone; `None` for anything else."""
    value = document.get(name) if isinstance(document, Mapping) else None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def mappings(document: object, name: str) -> list[Mapping[str, Any]]:
    """The documents in a list; an empty list if the field is not a list."""
    value = document.get(name) if isinstance(document, Mapping) else None
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return []
    return [one for one in value if isinstance(one, Mapping)]


def mapping(document: object, name: str) -> Mapping[str, Any]:
    """A document; an empty one for anything else."""
    value = document.get(name) if isinstance(document, Mapping) else None
    return value if isinstance(value, Mapping) else {}
