"""Documents of which each is read for itself: one that cannot be read is told of in the log, and hides no other."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from casebridge.database import Document
from casebridge.defect import log_defect

logger = logging.getLogger(__name__)

Read = TypeVar("Read")


def readable(documents: Iterable[Document], read: Callable[[Document], Read]) -> list[Read]:
    """What `read` makes of each document, without those that it raises for. Only reading the documents may raise."""
    found = []
    for document in documents:
        try:
            found.append(read(document))
        except Exception as error:  # noqa: BLE001 whatever stands in one document, it must not hide the others
            logger.error("casebridge.case_unreadable: a case cannot be read")  # noqa: TRY400
            log_defect(error)
    return found
