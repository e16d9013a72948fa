"""Tags that Dagster's daemons read on every run of a job (limits: `dagster.yaml`)."""

from datetime import timedelta
from typing import Final

MAX_RUNTIME: Final = "dagster/max_runtime"
PRIORITY: Final = "dagster/priority"
ONE_AT_A_TIME: Final = "casebridge/one_at_a_time"
"""Of the runs with the same value of this tag, one works and the others queue."""


def job_tags(*, max_runtime: timedelta, priority: int, one_at_a_time: str | None = None) -> dict[str, str]:
    """`priority` above 0 goes before a backfill's runs, which have none. `max_runtime` ends a run that nobody ends."""
    tags = {MAX_RUNTIME: str(int(max_runtime.total_seconds())), PRIORITY: str(priority)}
    return {**tags, ONE_AT_A_TIME: one_at_a_time} if one_at_a_time else tags
