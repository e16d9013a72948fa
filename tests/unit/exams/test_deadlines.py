"""The law's two weeks, counted like Norwegian deadlines (contract 7)."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebridge.exams.deadlines import answer_deadline, next_working_day


def test_the_deadline_of_fs_is_used_if_there_is_one() -> None:
    assert answer_deadline(date(2026, 1, 8), date(2026, 1, 30), 14) == date(2026, 1, 30)


@pytest.mark.parametrize(
    ("asked_on", "deadline"),
    [
        (date(2026, 1, 8), date(2026, 1, 22)),  # Thursday to Thursday
        (date(2026, 1, 10), date(2026, 1, 26)),  # Saturday: to Monday
        (date(2026, 3, 19), date(2026, 4, 7)),  # Maundy Thursday: past Easter Monday
        (date(2026, 5, 3), date(2026, 5, 18)),  # Sunday the 17th of May: to Monday
    ],
)
def test_a_deadline_ends_on_a_working_day(asked_on: date, deadline: date) -> None:
    assert answer_deadline(asked_on, None, 14) == deadline


@given(st.dates(date(2020, 1, 1), date(2035, 12, 31)))
def test_a_working_day_is_never_moved_back_and_never_far(day: date) -> None:
    moved = next_working_day(day)
    assert 0 <= (moved - day).days <= 6
    assert moved.weekday() < 5
    assert next_working_day(moved) == moved
