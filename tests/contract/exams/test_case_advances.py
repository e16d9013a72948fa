"""A batch moves its cases forward with one write. The result is the same on each server, in any order and when repeated."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from casebridge.clock import ServerClock
from casebridge.database import Database
from casebridge.exams.explanations.case_advance import CaseAdvance
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.models import CandidatePlace, ExplanationRequest
from tests.support.command_counts import counted

GIVEN = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = GIVEN + timedelta(hours=1)
PLACE = CandidatePlace(flow_id="7", participant_id="8", submission_id="9")
REQUEST = ExplanationRequest.model_validate(
    {"examId": "INF100:2026V", "personlopenr": 1, "kandidatnr": 42, "datoKlageMottat": "2026-03-01"}
)


@pytest.fixture
def cases(database: Database) -> Cases:
    return Cases(database, ServerClock(database.server_time), deadline_days=14)


@pytest.fixture
def keys(database: Database) -> list[str]:
    names = [f"case {number}" for number in range(3)]
    database.cases.insert_many(
        [{"_id": name, "correlationId": name, "institution": "uis.no/test", "state": "requested"} for name in names]
    )
    return names


def dispatched(key: str) -> CaseAdvance:
    return CaseAdvance.dispatched(key, REQUEST, PLACE, "1", date(2026, 3, 16), GIVEN)


def registered(key: str, text: str = "a", given_at: datetime = GIVEN) -> CaseAdvance:
    return CaseAdvance.registered(key, text, given_at, given_at, f"message of {text}", given_at)


def stored_fields(database: Database, key: str, *names: str) -> list[Any]:
    document = database.cases.find_one({"_id": key}) or {}
    return [document.get(name) for name in names]


def test_a_batch_is_one_command(cases: Cases, keys: list[str], database: Database) -> None:
    with counted() as commands:
        cases.advance([dispatched(key) for key in keys])
    assert commands == {"update": 1}
    assert [stored_fields(database, key, "state", "flowId", "kandidatnr") for key in keys] == [
        ["dispatched", 7, 42]
    ] * 3


def test_nothing_to_write_is_no_command(cases: Cases) -> None:
    with counted() as commands:
        cases.advance([])
    assert commands == {}


def test_one_batch_may_move_a_case_through_all_its_states(cases: Cases, keys: list[str], database: Database) -> None:
    cases.advance([dispatched(keys[0]), registered(keys[0]), CaseAdvance.shown(keys[0], LATER)])
    assert stored_fields(database, keys[0], "state", "registeredHash", "shownAt") == ["shown", "a", LATER]


def test_a_repeated_write_changes_nothing(cases: Cases, keys: list[str], database: Database) -> None:
    way = [dispatched(keys[0]), registered(keys[0]), CaseAdvance.shown(keys[0], LATER)]
    cases.advance(way)
    before = database.cases.find_one({"_id": keys[0]})
    for again in (way, way[:1], way[1:2], way[2:]):
        cases.advance(again)
        assert database.cases.find_one({"_id": keys[0]}) == before


def test_a_case_that_has_moved_on_keeps_its_state_and_gets_its_new_place(
    cases: Cases, keys: list[str], database: Database
) -> None:
    cases.advance([dispatched(keys[0]), registered(keys[0])])
    moved = CaseAdvance.dispatched(keys[0], REQUEST, CandidatePlace("70", "80", "90"), "2", date(2026, 3, 20), LATER)
    cases.advance([moved, dispatched(keys[1])])
    assert stored_fields(database, keys[0], "state", "flowId", "dispatchedAt") == ["registered", 70, GIVEN]
    assert stored_fields(database, keys[1], "state", "flowId") == ["dispatched", 7]


def test_an_older_answer_does_not_take_the_place_of_a_newer_one(
    cases: Cases, keys: list[str], database: Database
) -> None:
    cases.advance([registered(keys[0], "newer", LATER)])
    cases.advance([registered(keys[0], "older", GIVEN), registered(keys[1], "another", GIVEN)])
    assert stored_fields(database, keys[0], "registeredHash", "answerGivenAt") == ["newer", LATER]
    assert stored_fields(database, keys[1], "state", "registeredHash") == ["registered", "another"]


def test_a_correction_dated_before_the_earlier_text_still_counts_as_newer(
    cases: Cases, keys: list[str], database: Database
) -> None:
    """An answer that was unlocked and submitted again may have an earlier date than the first. We saw it later."""
    cases.advance([CaseAdvance.registered(keys[0], "first", GIVEN, LATER, "m1", GIVEN)])
    cases.advance([CaseAdvance.registered(keys[0], "corrected", LATER, GIVEN, "m2", LATER)])
    assert stored_fields(database, keys[0], "registeredHash", "answerGivenAt") == ["corrected", GIVEN]


def test_a_case_that_is_not_registered_cannot_become_shown(cases: Cases, keys: list[str], database: Database) -> None:
    cases.advance([CaseAdvance.shown(keys[0], LATER)])
    assert stored_fields(database, keys[0], "state", "shownAt") == ["requested", None]
