"""Classifies the errors of the database. Only this module distinguishes the driver's many errors.

There are three kinds:

- The database is away or takes no writes now: no primary, disk full, rights revoked, no majority. The same write works later.
- No server takes the document: it is too large, or has a value that BSON does not have. The write never works.
- Everything else is a defect.
"""

from typing import Final

import bson
from bson.errors import BSONError
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure, PyMongoError

from casebridge.errors import PermanentError

TOO_LARGE_CODES: Final = frozenset({10334, 17419, 17420})
"""BSONObjectTooLarge, and the codes for an update whose result would be too large."""
DATA_CODES: Final = TOO_LARGE_CODES | frozenset(
    {
        2,  # BadValue: $push to a value that is not an array
        9,  # FailedToParse
        14,  # TypeMismatch: $inc of null
        15,  # Overflow
        16,  # InvalidLength
        22,  # InvalidBSON
        28,  # PathNotViable: a field below a value that is not a document
        40,  # ConflictingUpdateOperators
        52,  # DollarPrefixedFieldName
        53,  # InvalidIdField
        54,  # NotSingleValueField
        56,  # EmptyFieldName
        57,  # DottedFieldName
        66,  # ImmutableField
        121,  # DocumentValidationFailure
        165,  # ViewDepthLimitExceeded: on some servers for documents that are too deep
        11000,  # DuplicateKey, where it was not expected
        17280,  # KeyTooLong
        28684,  # a sort of parallel arrays
    }
)
"""Codes that a single document or change causes. Any other refusal is temporary."""
LARGEST_BYTES: Final = 8 * 1024 * 1024
"""The most bytes for the result of a step. MongoDB takes 16 MB for a message with its steps, Kafka record and effects."""


def is_away(error: BaseException) -> bool:
    """Whether the same call may work later: the database is away, or refuses every such call for a while."""
    if not isinstance(error, PyMongoError):
        return False
    return not (isinstance(error, OperationFailure) and codes_of(error) & DATA_CODES)


def is_too_large(error: BaseException) -> bool:
    """Whether a document was refused because of its size."""
    if isinstance(error, DocumentTooLarge):
        return True
    return isinstance(error, OperationFailure) and bool(codes_of(error) & TOO_LARGE_CODES)


def codes_of(error: OperationFailure) -> set[int]:
    """All error codes of the server. A bulk write has one for each document that was refused."""
    if isinstance(error, BulkWriteError):
        details = error.details or {}
        problems = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
        return {problem["code"] for problem in problems if isinstance(problem.get("code"), int)}
    return set() if error.code is None else {error.code}


def too_large(what: str) -> PermanentError:
    """The error of a document that is too large. `what` names it without personal data: a step, a message."""
    return PermanentError(
        "casebridge.document_too_large",
        f"{what} is larger than the database takes (16 MB a document).",
        "Have its sender shorten it, then replay the message; or discard it and settle the case by hand.",
    )


def not_storable(what: str, error: BaseException) -> PermanentError:
    """The error of a value that the database cannot store, such as an incomplete character or a number over 64 bits."""
    return PermanentError(
        "casebridge.document_refused",
        f"{what} holds a value that the database cannot store ({type(error).__name__}).",
        "Have its sender correct it, then replay the message; or discard it and settle the case by hand.",
    )


def check_storable(what: str, values: object) -> None:
    """Check before a write that `values` can be stored. Raises `PermanentError` if not. Costs some microseconds."""
    try:
        size = len(bson.encode({"values": values}))
    except (BSONError, ValueError, OverflowError, RecursionError, TypeError) as error:
        raise not_storable(what, error) from None
    if size > LARGEST_BYTES:
        raise too_large(what)
