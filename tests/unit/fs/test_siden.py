"""From which time on FS is asked for changes: never later than wanted, however FS reads the local time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resources.fs.client import OSLO, siden

ISO = "%Y-%m-%dT%H:%M:%S"


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (datetime(2026, 1, 8, 5, 0, tzinfo=UTC), "2026-01-08T06:00:00"),
        (datetime(2026, 7, 8, 5, 0, 0, 999_999, tzinfo=UTC), "2026-07-08T07:00:00"),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "2026-10-25T01:30:00"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "2026-10-25T01:30:00"),
        (datetime(2026, 10, 25, 2, 0, tzinfo=UTC), "2026-10-25T03:00:00"),
    ],
    ids=["winter", "summer", "first of the two hours", "second of the two hours", "after them"],
)
def test_local_time_of_oslo(since: datetime, expected: str) -> None:
    assert siden(since, ISO) == expected


def test_other_formats() -> None:
    since = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert siden(since, "%d.%m.%Y") == "25.10.2026"
    assert siden(since, f"{ISO}%z") == "2026-10-25T02:30:00+0100"


@given(st.integers(1_577_836_800, 2_050_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)))
@example(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
@example(datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
@example(datetime(2026, 3, 29, 1, 30, tzinfo=UTC))
def test_both_readings_of_the_local_time_are_early_enough_and_not_much_too_early(since: datetime) -> None:
    local = datetime.fromisoformat(siden(since, ISO))
    for fold in (0, 1):
        read = local.replace(tzinfo=OSLO, fold=fold).astimezone(UTC)
        assert timedelta(0) <= since - read < timedelta(hours=2, seconds=1)
