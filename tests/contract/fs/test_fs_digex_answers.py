"""The FS client with answers that no simulator gives. It reads what it can, and reports the rest."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from casebridge.errors import CaseError, TransientError
from casebridge.exams.fs_rows import UnreadableRow, read_row
from casebridge.exams.models import ChangedExam, ExamChanges
from casebridge.institutions.institution import Institution
from casebridge.secrets import Secrets
from casebridge.settings import FsSettings, HttpSettings
from resources.fs.client import FsDigexClient
from tests.contract.fs.test_fs_digex_client import registration
from tests.support.scripted_server import ScriptedServer, answer

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def scripted(server: ScriptedServer, **settings: Any) -> FsDigexClient:
    institution = Institution.model_validate(
        {
            "orgId": "uis.no", "navn": "UiS", "institusjonsnr": 217, "env": "test", "examSystem": "WISEFLOW",
            "digex": {"baseUrl": server.address, "credentialRef": "x"},
        }
    )  # fmt: skip
    secrets = Secrets({"CASEBRIDGE_SECRET_X_USERNAME": "usér", "CASEBRIDGE_SECRET_X_PASSWORD": "p€ss"})
    return FsDigexClient(
        institution, secrets, FsSettings(**settings), HttpSettings(total_seconds=5.0, read_seconds=5.0)
    )


def test_credentials_are_sent_with_the_first_call_and_as_utf_8() -> None:
    with ScriptedServer(answer("200 OK", b"[]")) as server:
        registry = scripted(server)
        assert registry.changed_exams(LONG_AGO).exams == ()
        assert f"Authorization: Basic {base64.b64encode('usér:p€ss'.encode()).decode()}" in server.requests[0]
        registry.close()


def changed(body: object) -> list[ChangedExam]:
    return list(changes(json.dumps(body).encode()).exams)


def changes(body: bytes) -> ExamChanges:
    with ScriptedServer(answer("200 OK", body)) as server:
        registry = scripted(server)
        try:
            return registry.changed_exams(LONG_AGO)
        finally:
            registry.close()


GOOD = {"examId": "abc", "sistEndret": "2026-01-08T09:14:22+01:00"}


@pytest.mark.parametrize("body", [{"begrunnelser": []}, None, "x", 3])
def test_an_answer_that_is_no_list_fails(body: object) -> None:
    with pytest.raises(CaseError) as caught:
        changed(body)
    assert caught.value.code == "fs.list_unreadable"


TOO_DEEP = "[" * 200_000 + "]" * 200_000
BAD_ITEMS = {
    "a text": '"abc"',
    "a number": "17",
    "nothing": "null",
    "a list": "[]",
    "without examId": '{"sistEndret": "2026-01-08T09:14:22+01:00"}',
    "examId is a number": '{"examId": 17, "sistEndret": "2026-01-08T09:14:22+01:00"}',
    "examId of a megabyte": json.dumps({"examId": "x" * 1_000_000, "sistEndret": "2026-01-08T09:14:22+01:00"}),
    "a lone surrogate": '{"examId": "a\\ud800", "sistEndret": "2026-01-08T09:14:22+01:00"}',
    "a NUL": '{"examId": "a\\u0000", "sistEndret": "2026-01-08T09:14:22+01:00"}',
    "nested too deeply": '{"examId": "deep", "sistEndret": ' + TOO_DEEP + "}",
    "a number of 5,000 digits": '{"examId": "long", "sistEndret": ' + "9" * 5000 + "}",
}


@pytest.mark.parametrize("bad", BAD_ITEMS.values(), ids=BAD_ITEMS)
def test_an_unreadable_line_does_not_hide_the_others(bad: str) -> None:
    good = json.dumps(GOOD)
    found = changes(f"[{good}, {bad}, {good.replace('abc', 'def')}]".encode())
    assert [exam.vurd_id for exam in found.exams] == ["abc", "def"]
    assert len(found.unreadable) == 1


@pytest.mark.parametrize("changed_at", ["yesterday", True, 1e300, "32.01.2026", None, "9999-12-31T23:59:59-10:00"])
def test_a_line_without_a_time_is_reported_and_its_exam_is_read(changed_at: object) -> None:
    found = changes(json.dumps([GOOD, {"examId": "def", "sistEndret": changed_at, "brukernavn": "kari.n"}]).encode())
    assert {exam.vurd_id: exam.changed_at is None for exam in found.exams} == {"abc": False, "def": True}
    assert ["sistEndret" in line.fault for line in found.unreadable] == [True]
    assert "kari" not in repr(found)


@pytest.mark.parametrize("bad", BAD_ITEMS.values(), ids=BAD_ITEMS)
def test_an_entry_that_is_no_row_hides_no_row(bad: str) -> None:
    body = f'{{"begrunnelser": [{{"personlopenr": 1}}, {bad}, {{"personlopenr": 2}}]}}'.encode()
    with ScriptedServer(answer("200 OK", body)) as server:
        registry = scripted(server)
        rows = registry.explanation_rows("abc")
        registry.close()
    assert [row.get("personlopenr") for row in rows] == [1, None, 2]
    assert len([row for row in rows if isinstance(read_row(row), UnreadableRow)]) == 3


def test_a_time_without_a_zone_is_in_oslo() -> None:
    [exam] = changed([{"examId": "abc", "sistEndret": "08.01.2026 09:14:22"}])
    assert exam.changed_at == datetime(2026, 1, 8, 8, 14, 22, tzinfo=UTC)


def test_the_whole_exam_is_fetched_if_one_of_its_lines_has_no_request() -> None:
    request = {**GOOD, "personlopenr": 1, "kandidatnr": 2, "datoKlageMottat": "2026-01-08"}
    assert changed([GOOD, request]) == [ChangedExam("abc", datetime(2026, 1, 8, 8, 14, 22, tzinfo=UTC), None)]
    [exam] = changed([request, {**request, "personlopenr": 3}, request])
    assert [one["personlopenr"] for one in exam.rows or ()] == [1, 3]


def test_a_request_with_a_missing_field_is_still_a_request() -> None:
    [exam] = changed([{**GOOD, "kandidatnr": 2}])
    assert exam.rows == ({**GOOD, "kandidatnr": 2},)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"examId": "abc", "begrunnelser": [{"personlopenr": 1}]}, [{"personlopenr": 1, "examId": "abc"}]),
        ([{"personlopenr": 1, "examId": "abc"}], [{"personlopenr": 1, "examId": "abc"}]),
        ({"begrunnelser": [{"nonsense": True}]}, [{"nonsense": True, "examId": "abc"}]),
        ({"begrunnelser": []}, []),
    ],
)
def test_rows_are_returned_raw_with_their_exam(body: object, expected: list[dict[str, Any]]) -> None:
    with ScriptedServer(answer("200 OK", json.dumps(body).encode())) as server:
        registry = scripted(server)
        assert registry.explanation_rows("abc") == expected
        registry.close()


@pytest.mark.parametrize("body", [{}, {"begrunnelser": None}, None, 3])
def test_an_unreadable_list_of_rows_is_not_an_empty_list(body: object) -> None:
    with ScriptedServer(answer("200 OK", json.dumps(body).encode())) as server:
        registry = scripted(server)
        with pytest.raises(TransientError) as caught:
            registry.explanation_rows("abc")
        assert caught.value.code == "fs.shape_unknown"
        registry.close()


@pytest.mark.parametrize(
    ("script", "is_registered"),
    [
        (answer("201 Created"), True),
        (answer("204 No Content"), True),
        (answer("200 OK", b"{}"), True),
        (answer("200 OK", b""), False),
        (answer("200 OK", b"<html>Planned maintenance</html>"), False),
        (answer("201 Created", b"<html>Planned maintenance</html>"), False),
    ],
)
def test_only_an_answer_in_the_form_of_fs_counts_as_registered(script: Any, is_registered: bool) -> None:
    case = {"examId": "abc", "personlopenr": 481223, "kandidatnr": 1042}
    with ScriptedServer(script) as server:
        registry = scripted(server)
        if is_registered:
            registry.register_explanation(registration(case))
        else:
            with pytest.raises(TransientError):
                registry.register_explanation(registration(case))
        registry.close()
