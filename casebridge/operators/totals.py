"""The numbers that every report on an asset ends with: how things stand in all, today, and how long the oldest waits.

One place makes them, whoever reports: a run, a sensor or a listener. So the latest metadata of an asset tells the state, not only
the last batch, and each number can be plotted.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from casebridge.audit.log import AuditLog
from casebridge.exams.explanations.answer_flow import REGISTERED
from casebridge.operators import stored_fields
from casebridge.operators.status import Status

OSLO: Final = ZoneInfo("Europe/Oslo")
TODAY: Final = {
    "request_explanation": "today_dispatched",
    "register_explanation": "today_registered",
    "show_explanation": "today_shown",
}
"""Steps of the audit that are counted, and the names that they have in a report."""
DONE: Final = (None, REGISTERED)
"""Outcomes of such a step that did its act; with another one there was nothing to do any more."""


def midnight(now: datetime) -> datetime:
    """When today began in Norway."""
    return now.astimezone(OSLO).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def totals(status: Status, audit: AuditLog) -> Mapping[str, int | float]:
    """All names are always there. Today's are counted by the audit's index on time: as many entries as today has."""
    today = dict.fromkeys((*TODAY.values(), "today_failed_steps"), 0)
    for count in audit.counts_since(midnight(status.at)):
        of = stored_fields.mapping(count, "_id")
        if not of.get("success"):
            today["today_failed_steps"] += count["entries"]
        elif of.get("outcome") in DONE and (name := TODAY.get(stored_fields.text(of, "step"))):
            today[name] += count["entries"]
    rows = status.institutions
    return {
        "total_requested": sum(row.requested for row in rows),
        "total_dispatched": sum(row.dispatched for row in rows),
        "total_registered": sum(row.registered for row in rows),
        "total_withdrawn": sum(row.withdrawn for row in rows),
        "total_set_aside": sum(row.set_aside for row in rows),
        "total_discarded": sum(row.discarded for row in rows),
        **today,
        "pending": status.pending,
        "dead": status.dead,
        "paused_institutions": sum(row.paused is not None for row in rows),
        "oldest_pending_seconds": round(status.oldest_pending_seconds or 0.0, 1),
    }
