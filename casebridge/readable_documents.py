"""Reads many documents, each by itself: one that cannot be read is named in the log, and hides no other."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from bson import Int64

from casebridge.database import Document
from casebridge.defect import log_defect

logger = logging.getLogger(__name__)

OUR_ID: Final = re.compile(r"[0-9a-f-]{32,36}")
Read = TypeVar("Read")


def readable(
    documents: Iterable[Document], read: Callable[[Document], Read], unreadable: list[Document] | None = None
) -> list[Read]:
    """What `read` makes of each document, without those that it raises for. Only reading the documents may raise.

    Those are added to `unreadable`, for an alert about them.
    """
    found = []
    for document in documents:
        try:
            found.append(read(document))
        except Exception as error:  # noqa: BLE001 whatever stands in one document, it must not hide the others
            logger.error("casebridge.case_unreadable: case %s cannot be read", name_of(document))  # noqa: TRY400
            log_defect(error)
            if unreadable is not None:
                unreadable.append(document)
    return found


def check_kinds(document: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    """Raises `TypeError`, with the name of the field, where one is absent or of another type than `kinds` says.

    Exactly of that kind: `True` is a whole number to Python, and what the driver makes of JavaScript is a text. A time may be of
    a class of its own, as where a program has replaced the standard one.
    """
    for name, kind in kinds.items():
        value = document.get(name)
        found = type(value)
        is_time = kind is datetime and isinstance(value, datetime)
        if found is not kind and not is_time and not (kind is int and found is Int64):
            raise TypeError(name)


def name_of(document: Mapping[str, Any]) -> str:
    """Its correlation id, if that is one of ours: anything else may hold anything, and `_id` could be guessed back."""
    key = document.get("correlationId")
    return key if isinstance(key, str) and OUR_ID.fullmatch(key) else "unknown"
