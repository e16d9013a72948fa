"""Reads many documents, each by itself. One that cannot be read is logged, and does not hide the others."""

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
    """The values that `read` returns for the documents. Documents for which it raises are left out.

    These are logged, and added to `unreadable`, so that the caller can send an alert. An error of `documents` itself is raised.
    """
    found = []
    for document in documents:
        try:
            found.append(read(document))
        except Exception as error:  # noqa: BLE001 no value in one document may hide the others
            logger.error("casebridge.case_unreadable: case %s cannot be read", name_of(document))  # noqa: TRY400
            log_defect(error)
            if unreadable is not None:
                unreadable.append(document)
    return found


def check_kinds(document: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    """Raises `TypeError` with the name of the field if a field is absent, or has another type than `kinds` says.

    The type must match exactly, because in Python `True` is also an `int`, and the driver's class for JavaScript is also a
    `str`. Only a time may be of a subclass, because a program may replace the standard class.
    """
    for name, kind in kinds.items():
        value = document.get(name)
        found = type(value)
        is_time = kind is datetime and isinstance(value, datetime)
        if found is not kind and not is_time and not (kind is int and found is Int64):
            raise TypeError(name)


def name_of(document: Mapping[str, Any]) -> str:
    """The correlation id of a document if it is one of ours, else `unknown`.

    Another program's id may contain anything. The value behind an `_id` could be found by guessing, so it is not used.
    """
    key = document.get("correlationId")
    return key if isinstance(key, str) and OUR_ID.fullmatch(key) else "unknown"
