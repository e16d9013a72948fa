"""The partitions of the ledger: institution and month. Nothing else is partitioned; requests and cases are kept in MongoDB.

Sixty institutions over five years make 60 times 60, or 3,600 keys. Dagster's UI stays fast up to 20,000 keys; a test counts
them. Days instead of months would make 110,000 keys.
"""

from datetime import date
from typing import Final

import dagster as dg

INSTITUTIONS: Final = dg.DynamicPartitionsDefinition(name="institution")
"""Keys like `uis.no/prod`. `fs_requests_sensor` adds the keys of new institutions. No key is removed, to keep its history."""

LEDGER_START: Final = "2025-01"
"""The first month that can be backfilled. It may be changed to an earlier month; a later one would hide materialisations."""

MONTHS: Final = dg.MonthlyPartitionsDefinition(
    start_date=LEDGER_START,
    fmt="%Y-%m",
    timezone="Europe/Oslo",
    end_offset=1,  # the current month, too
)

LEDGER: Final = dg.MultiPartitionsDefinition({"institution": INSTITUTIONS, "month": MONTHS})


def first_days(month: str) -> tuple[date, date]:
    """The first day of a month like `2026-11`, and the first day of the month after it."""
    start = date.fromisoformat(f"{month}-01")
    following = date(start.year + start.month // 12, start.month % 12 + 1, 1)
    return start, following
