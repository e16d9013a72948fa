"""Rows of FS, each read alone. Harmless spellings are accepted, impossible values make a row unreadable, and nothing raises."""

import itertools
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from casebridge.exams.deadlines import answer_deadline
from casebridge.exams.exam_key import ExamKey
from casebridge.exams.fs_rows import KEPT_IN_ALL, UnreadableRow, by_person, chosen_row, read_row
from casebridge.exams.fs_values import moment
from casebridge.exams.models import ExplanationRequest

EXAM = ExamKey(217, "DAT200", "1", "S", 2026, "VÅR").vurd_id
ROW: dict[str, Any] = {
    "examId": EXAM, "personlopenr": 480777, "kandidatnr": 1042, "brukernavn": "ola.n", "kommisjonsId": "3",
    "datoKlageMottat": "2026-07-01", "datoVedtakFormidlet": None, "frist": "2026-07-15",
}  # fmt: skip


def request(**fields: Any) -> ExplanationRequest:
    read = read_row({**ROW, **fields})
    assert isinstance(read, ExplanationRequest)
    return read


@pytest.mark.parametrize(
    "fields",
    [
        {"kommisjonsId": 3},
        {"kandidatnr": "1042"},
        {"personlopenr": " 480777 "},
        {"datoKlageMottat": "01.07.2026"},
        {"datoKlageMottat": "1.7.2026 00:40"},
        {"datoKlageMottat": "2026-07-01T00:40:00+02:00"},
        {"datoKlageMottat": "2026-06-30T22:40:00Z"},
        {"frist": "15.07.2026 23:59:59"},
        {"frist": "2026-07-15T12:00:00"},
        {"datoVedtakFormidlet": ""},
        {"datoVedtakFormidlet": " "},
        {"kandidatnr": "\uff10\uff11\uff10\uff14\uff12"},
        {"datoKlageMottat": "2026-07-01Z"},
        {"datoKlageMottat": "2026-07-01+02:00"},
        {"merknad": "x" * 1_000_000},
    ],
)
def test_another_spelling_is_the_same_request(fields: dict[str, Any]) -> None:
    assert request(**fields) == request()
    assert request(**fields).version == request().version


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


MALFORMED: dict[str, Any] = {
    "far date": {"datoKlageMottat": "9999-12-31", "frist": None},
    "first date": {"datoKlageMottat": "0001-01-01"},
    "overflow by its zone": {"datoKlageMottat": "9999-12-31T23:59:59-12:00"},
    "date as a number": {"datoKlageMottat": 20260701},
    "huge field": {"brukernavn": "x" * 17_000_000},
    "huge unknown field of a bad row": {"merknad": "x" * 17_000_000, "kandidatnr": "?"},
    "huge number": {"kandidatnr": 10**5000},
    "truth value": {"kandidatnr": True},
    "surrogate": {"brukernavn": "a\ud800"},
    "NUL": {"kommisjonsId": "\x00"},
    "deep": {"brukernavn": nested(900)},
    "deeper than a stack": {"brukernavn": nested(50_000), "kandidatnr": None},
    "thousands of fields": {**{f"f{n}": "x" * 1000 for n in range(5000)}, "kandidatnr": None},
    "no exam": {"examId": "%%%"},
    "list": {"personlopenr": [1]},
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_any_invalid_field_makes_the_row_unreadable_and_its_error_short(fields: dict[str, Any]) -> None:
    read, again = read_row({**ROW, **fields}), read_row({**ROW, **fields})
    assert isinstance(read, UnreadableRow)
    assert read.fields
    assert len(read.raw.encode()) < 2 * KEPT_IN_ALL
    assert isinstance(again, UnreadableRow)
    assert read.identity == again.identity


@settings(deadline=None)  # the first use makes the calendar of a year
@given(some.dates(), some.integers(0, 60))
def test_no_day_breaks_the_count_of_a_deadline(day: date, days: int) -> None:
    assert answer_deadline(day, None, days) >= day


def test_the_open_row_that_was_asked_for_last_counts_in_whatever_order_they_come() -> None:
    old, new = request(datoKlageMottat="2026-06-01"), request(kommisjonsId="4")
    finished = request(kommisjonsId="9", datoKlageMottat="2026-07-09", datoVedtakFormidlet="2026-07-10")
    for rows in itertools.permutations([old, new, finished]):
        assert chosen_row(rows) == new
    assert chosen_row([finished]) == finished
    assert by_person([old, finished, old, new, request(personlopenr=7)]) == [
        [old, finished, new],
        [request(personlopenr=7)],
    ]


@pytest.mark.parametrize("part", ["vurderingsordning", "tid"])
@pytest.mark.parametrize("sent", [1, 1.0, "1", {"reel": 1}, {"reel": "1"}])
def test_a_part_of_the_exam_that_is_a_number_is_its_digits(part: str, sent: object) -> None:
    assert getattr(request(**{part: sent}), part) == "1"


@pytest.mark.parametrize("part", ["vurderingsordning", "tid"])
@pytest.mark.parametrize("sent", [None, True, 1.5, [], {}, {"reel": None}, "a\nb", "x" * 300])
def test_an_invalid_part_of_the_exam_counts_as_missing(part: str, sent: object) -> None:
    assert getattr(request(**{part: sent}), part) is None


@pytest.mark.parametrize(
    "spelt",
    [
        "2026-01-08T09:14:22",
        "08.01.2026 09:14:22",
        "8.1.2026, 09.14.22",
        1767860062,
        1767860062.0,
        "2026-01-08T08:14:22Z",
    ],
)
def test_a_moment_is_read_in_every_form_and_without_a_zone_it_is_oslos(spelt: object) -> None:
    assert moment(spelt) == datetime(2026, 1, 8, 8, 14, 22, tzinfo=UTC)


def test_a_norwegian_day_without_a_time_is_its_first_moment() -> None:
    assert moment("08.07.2026") == datetime(2026, 7, 7, 22, tzinfo=UTC)
