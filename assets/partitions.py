"""How the ledger is cut: by institution and month. Nothing else is partitioned; requests and cases are queue state, in MongoDB.

Sixty institutions over five years are 60 times 60, or 3,600 keys, far below the 20,000 that keep Dagster's UI quick; a test
counts them. A day instead of a month would be 110,000.
"""

from datetime import date
from typing import Final

import dagster as dg

INSTITUTIONS: Final = dg.DynamicPartitionsDefinition(name="institution")
"""Keys like `uis.no/prod`; `fs_requests_sensor` adds those of new institutions. None is ever removed: history stays."""

LEDGER_START: Final = "2025-01"
"""The first month that can be backfilled. Earlier is allowed; only later would hide what was materialised."""

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
