"""What an error of the database means: whose fault it is. The one place where the driver's many errors are told apart.

Three kinds. The server is away, or takes no write now (no primary, disk full, rights revoked, no majority): nobody's fault, the same
write works later. A document is what no server takes (too large, a value that has no BSON): its own fault, whenever it is tried. All
else is a defect like any other.
"""

from typing import Final

import bson
from bson.errors import BSONError
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure, PyMongoError

from casebridge.errors import PermanentError

TOO_LARGE_CODES: Final = frozenset({10334, 17419, 17420})
"""BSONObjectTooLarge, and what an update says whose result would be."""
DATA_CODES: Final = TOO_LARGE_CODES | frozenset(
    {
        2,  # BadValue: $push to what is no array
        9,  # FailedToParse
        14,  # TypeMismatch: $inc of null
        15,  # Overflow
        16,  # InvalidLength
        22,  # InvalidBSON
        28,  # PathNotViable: a field below what is no document
        40,  # ConflictingUpdateOperators
        52,  # DollarPrefixedFieldName
        53,  # InvalidIdField
        54,  # NotSingleValueField
        56,  # EmptyFieldName
        57,  # DottedFieldName
        66,  # ImmutableField
        121,  # DocumentValidationFailure
        165,  # ViewDepthLimitExceeded, as of documents too deep on some servers
        11000,  # DuplicateKey, where none was expected
        17280,  # KeyTooLong
        28684,  # a sort of parallel arrays
    }
)
"""What a server says of the one document or change that it was given; any other refusal is of the moment."""
LARGEST_BYTES: Final = 8 * 1024 * 1024
"""Of the results of one step. MongoDB takes 16 MB for a message with all its steps, its record of Kafka and its effects."""


def is_away(error: BaseException) -> bool:
    """Whether the same call may work later as it is: the database is away or refuses for a while, whoever asks."""
    if not isinstance(error, PyMongoError):
        return False
    return not (isinstance(error, OperationFailure) and codes_of(error) & DATA_CODES)


def is_too_large(error: BaseException) -> bool:
    """Whether a document was refused for its size."""
    if isinstance(error, DocumentTooLarge):
        return True
    return isinstance(error, OperationFailure) and bool(codes_of(error) & TOO_LARGE_CODES)


def codes_of(error: OperationFailure) -> set[int]:
    """All codes that a server gave: a bulk write has one for each of its documents."""
    if isinstance(error, BulkWriteError):
        details = error.details or {}
        problems = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
        return {problem["code"] for problem in problems if isinstance(problem.get("code"), int)}
    return set() if error.code is None else {error.code}


def too_large(what: str) -> PermanentError:
    """`what` names a thing without personal data: a step, a message."""
    return PermanentError(
        "casebridge.document_too_large",
        f"{what} is larger than the database takes (16 MB a document).",
        "Have its sender shorten it, then replay the message; or discard it and settle the case by hand.",
    )


def not_storable(what: str, error: BaseException) -> PermanentError:
    """A value that has no form in the database: half a character, a number of more than 64 bits."""
    return PermanentError(
        "casebridge.document_refused",
        f"{what} holds a value that the database cannot store ({type(error).__name__}).",
        "Have its sender correct it, then replay the message; or discard it and settle the case by hand.",
    )


def check_storable(what: str, values: object) -> None:
    """See before a write that `values` can be stored. Raises `PermanentError`; costs some microseconds."""
    try:
        size = len(bson.encode({"values": values}))
    except (BSONError, ValueError, OverflowError, RecursionError, TypeError) as error:
        raise not_storable(what, error) from None
    if size > LARGEST_BYTES:
        raise too_large(what)
