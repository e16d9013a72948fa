"""The numbers at the end of every report on an asset: totals, counts of today, and the age of the oldest waiting message.

Runs, sensors and listeners all take them from here. So the latest metadata of an asset shows the whole state, not only the last
batch, and each number can be plotted.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from casebridge.audit.log import AuditLog
from casebridge.capability import Capability
from casebridge.operators import stored_fields
from casebridge.operators.status import Status

OSLO: Final = ZoneInfo("Europe/Oslo")


def midnight(now: datetime) -> datetime:
    """When today began in Norway."""
    return now.astimezone(OSLO).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


class Totals:
    """Adds up a status, and counts today's entries of the audit."""

    def __init__(self, audit: AuditLog, capabilities: Sequence[Capability]) -> None:
        self._audit = audit
        self._columns = tuple(
            dict.fromkeys(column for one in capabilities for kind in one.case_kinds for column in kind.columns.values())
        )
        self._daily = {daily.step: daily for one in capabilities for daily in one.daily_counts}

    def of(self, status: Status) -> Mapping[str, int | float]:
        """The numbers by name. No name is ever missing. Counting today reads today's audit entries, by the index on time."""
        rows = status.institutions
        return {
            **{f"total_{column}": sum(row.cases[column] for row in rows) for column in self._columns},
            "total_set_aside": sum(row.set_aside for row in rows),
            "total_discarded": sum(row.discarded for row in rows),
            **self._today(status),
            "pending": status.pending,
            "dead": status.dead,
            "paused_institutions": sum(row.paused is not None for row in rows),
            "oldest_pending_seconds": round(status.oldest_pending_seconds or 0.0, 1),
        }

    def _today(self, status: Status) -> dict[str, int]:
        today = dict.fromkeys((*(daily.name for daily in self._daily.values()), "today_failed_steps"), 0)
        for count in self._audit.counts_since(midnight(status.at)):
            of = stored_fields.mapping(count, "_id")
            daily = self._daily.get(stored_fields.text(of, "step"))
            if not of.get("success"):
                today["today_failed_steps"] += count["entries"]
            elif daily is not None and of.get("outcome") in daily.outcomes:
                today[daily.name] += count["entries"]
        return today
