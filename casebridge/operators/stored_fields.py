"""Fields of stored documents as they may really be: absent, null, or of another type than any release writes.

An operator must see what no release can read. So these readers never raise, and never show what is no text of ours.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from casebridge.database import Document
from casebridge.messaging.queue.message import UNKNOWN

LONGEST: Final = 2000
"""Characters of a text that an operator reads; our own sentences are shorter."""


def short(name: str) -> Document:
    """A text in an aggregation, no longer than an operator reads; nothing for what is no text. Several are then in one reply."""
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
    """Those members of a list that are documents."""
    value = document.get(name) if isinstance(document, Mapping) else None
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return []
    return [one for one in value if isinstance(one, Mapping)]


def mapping(document: object, name: str) -> Mapping[str, Any]:
    """A document; an empty one for anything else."""
    value = document.get(name) if isinstance(document, Mapping) else None
    return value if isinstance(value, Mapping) else {}
