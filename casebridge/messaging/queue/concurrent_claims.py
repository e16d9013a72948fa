"""Corrects cases that have several messages in work at once. Another program or an early release may have left them.

A unique index allows only one message in work for each case. It cannot be created while there are two, or while two lack an
`orderingKey`. The first message stays in work. The others wait again, with an error that says why. They lose nothing: each
continues at its first step without a result.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pymongo.errors import OperationFailure

from casebridge.bounded import AT_ONCE
from casebridge.clock import Clock
from casebridge.database import Database, Document
from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.errors import PermanentError
from casebridge.messaging.queue.message import Failure, is_count, moment_of
from casebridge.messaging.queue.transitions import Action, source, target

logger = logging.getLogger(__name__)

STEP: Final = "prepare"
FIELDS: Final = dict.fromkeys(("orderingKey", "correlationId", "enqueuedAt", "errors", "fence"), 1)


def put_back(database: Database, clock: Clock) -> int:
    """Leave one message in work for each case. Returns how many wait again. May be repeated, and ended at any point."""
    at_work = {"status": source(Action.PUT_BACK)}
    names_in_work: set[str] = set()
    returned = 0
    # Oldest first, so that the first message of a case stays. A case is recognised by ordering key or correlation id.
    for message in database.messages.find(at_work, FIELDS, batch_size=AT_ONCE).sort([("enqueuedAt", 1), ("_id", 1)]):
        key = message.get("orderingKey")
        own = key if isinstance(key, str) else str(message["_id"])
        names = {own, *(name for name in (message.get("correlationId"),) if isinstance(name, str))}
        change: Document = {} if own == key else {"$set": {"orderingKey": own}}
        if names & names_in_work:
            change = _waiting(message, own, clock)
            returned += 1
            logger.warning("a message is put back: another one of its case is in work")
        names_in_work |= names
        if change:
            try:
                database.messages.update_one({"_id": {"$eq": message["_id"]}, **at_work}, change)
            except OperationFailure as error:
                if is_away(error):
                    raise
                log_defect(error)  # a claim will set the message aside
    return returned


def _waiting(message: Mapping[str, Any], ordering_key: str, clock: Clock) -> Document:
    """The change that makes a message wait. Its status is `failed` with an error that says why; it is due at once."""
    now = clock.now()
    failure = Failure(now, 0, STEP, _error().category.value, _error().code, _error().cause, _error().next_action)
    fence = message.get("fence")
    return {
        "$set": {
            "status": target(Action.PUT_BACK),
            "orderingKey": ordering_key,
            "dueAt": now,
            # A worker that still has it can write nothing any more.
            "fence": int(fence) + 1 if is_count(fence) and fence is not None else 1,
            "errors": [*_documents(message.get("errors")), failure.document()],
            **({} if moment_of(message, "enqueuedAt") else {"enqueuedAt": now}),
        },
        "$unset": {"owner": "", "claim": ""},
    }


def _documents(errors: object) -> Iterable[Mapping[str, Any]]:
    return [error for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []


def _error() -> PermanentError:
    return PermanentError(
        "casebridge.twice_at_work",
        "Two messages of one case were in work at once when the database was prepared: this one waits again.",
        "Wait: it is taken up by itself after the other one.",
    )
