"""What the errors of the database mean, and the two forms in which servers give their time."""

from datetime import UTC, datetime

import bson
import pytest
from bson.errors import InvalidDocument
from pymongo import errors

from casebridge.database import server_moment
from casebridge.database_faults import DATA_CODES, check_storable, is_away, is_too_large
from casebridge.defect import as_case_error
from casebridge.errors import PermanentError, TransientError

NINE = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)
NOBODYS_FAULT = (
    errors.AutoReconnect("x"), errors.NetworkTimeout("x"), errors.NotPrimaryError("x"),
    errors.ServerSelectionTimeoutError("x"), errors.WaitQueueTimeoutError("x"), errors.ExecutionTimeout("x", 50),
    errors.CursorNotFound("x", 43), errors.WriteConcernError("x", 189), errors.WTimeoutError("x", 64),
    errors.InvalidOperation("x"), errors.OperationFailure("x"),
    *(errors.OperationFailure("x", code) for code in (8, 13, 18, 64, 91, 112, 189, 10107, 11600, 12501, 13435, 14031)),
    errors.BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 91}]}),
)  # fmt: skip


@pytest.mark.parametrize("error", NOBODYS_FAULT, ids=repr)
def test_an_outage_or_a_refusal_is_no_fault_of_the_message(error: Exception) -> None:
    assert is_away(error)
    assert not is_too_large(error)


@pytest.mark.parametrize("code", sorted(DATA_CODES))
def test_an_error_about_a_document_is_a_fault_of_its_message(code: int) -> None:
    assert not is_away(errors.OperationFailure("x", code))
    assert not is_away(errors.BulkWriteError({"writeErrors": [{"code": code}, {"code": 11000}]}))


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), InvalidDocument("x"), errors.DocumentTooLarge("x")])
def test_other_errors_are_no_outage(error: BaseException) -> None:
    assert not is_away(error)


@pytest.mark.parametrize(
    "error", [errors.DocumentTooLarge("x"), errors.WriteError("x", 10334), errors.WriteError("x", 17419)], ids=repr
)
def test_a_too_large_document_has_its_own_code_and_is_not_retried(error: Exception) -> None:
    case_error = as_case_error(error)
    assert isinstance(case_error, PermanentError)
    assert case_error.code == "casebridge.document_too_large"
    assert isinstance(as_case_error(InvalidDocument("x")), TransientError)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("x" * 9_000_000, "casebridge.document_too_large"),
        ("\ud800", "casebridge.document_refused"),
        (2**70, "casebridge.document_refused"),
        (object(), "casebridge.document_refused"),
        ({"a\0b": 1}, "casebridge.document_refused"),
    ],
    ids=["large", "half a character", "large number", "object", "null in a name"],
)
def test_a_value_that_cannot_be_stored_is_refused_before_it_is_written(value: object, code: str) -> None:
    with pytest.raises(PermanentError) as raised:
        check_storable("What the step came to", {"found": value})
    assert raised.value.code == code
    check_storable("What the step came to", {"found": "text", "at": NINE})


@pytest.mark.parametrize(
    "said",
    [NINE, NINE.replace(tzinfo=None), 1767862800000, bson.Int64(1767862800000), 1767862800000.0],
    ids=["date", "date without zone", "number", "64-bit number", "floating point"],
)
def test_a_server_gives_its_time_as_a_date_or_in_milliseconds(said: object) -> None:
    assert server_moment(said) == NINE


@pytest.mark.parametrize("said", [None, "2026", True])
def test_a_server_without_a_time_is_reported(said: object) -> None:
    with pytest.raises(errors.ConfigurationError):
        server_moment(said)
