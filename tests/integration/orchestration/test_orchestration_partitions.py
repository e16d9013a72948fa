"""The partitions of the ledger: few enough for the UI after five years, and each month exactly once."""

from datetime import UTC, date, datetime

import dagster as dg
import pytest

from assets.partitions import INSTITUTIONS, LEDGER, LEDGER_START, MONTHS, first_days

INSTITUTIONS_EXPECTED = 60
MOST_KEYS = 20_000


def test_five_years_of_sixty_institutions_stay_below_twenty_thousand_keys() -> None:
    begun = datetime.strptime(LEDGER_START, "%Y-%m").replace(tzinfo=UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        keys = [f"institution{number}.no/prod" for number in range(INSTITUTIONS_EXPECTED)]
        instance.add_dynamic_partitions(str(INSTITUTIONS.name), keys)
        in_five_years = LEDGER.get_partition_keys(
            current_time=begun.replace(year=begun.year + 5), dynamic_partitions_store=instance
        )

    assert len(in_five_years) == INSTITUTIONS_EXPECTED * (5 * 12 + 1)
    assert len(in_five_years) < MOST_KEYS


def test_the_current_month_can_be_backfilled() -> None:
    assert MONTHS.get_partition_keys(current_time=datetime(2026, 11, 22, 12, tzinfo=UTC))[-1] == "2026-11"


def test_a_month_begins_at_midnight_in_oslo() -> None:
    """One hour before midnight UTC it is already the next month in Oslo."""
    assert MONTHS.get_partition_keys(current_time=datetime(2026, 11, 30, 23, 30, tzinfo=UTC))[-1] == "2026-12"


def test_an_institutions_name_is_a_valid_key() -> None:
    key = dg.MultiPartitionKey({"institution": "uis.no/prod", "month": "2026-11"})

    assert LEDGER.get_partition_key_from_str(str(key)) == key


@pytest.mark.parametrize(
    ("month", "start", "end"),
    [
        ("2026-11", date(2026, 11, 1), date(2026, 12, 1)),
        ("2026-12", date(2026, 12, 1), date(2027, 1, 1)),
        ("2028-02", date(2028, 2, 1), date(2028, 3, 1)),
    ],
)
def test_months_meet_without_gap_or_overlap(month: str, start: date, end: date) -> None:
    assert first_days(month) == (start, end)
