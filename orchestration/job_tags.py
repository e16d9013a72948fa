"""Tags that Dagster's daemons read on every run of a job (limits: `dagster.yaml`)."""

from datetime import timedelta
from typing import Final

MAX_RUNTIME: Final = "dagster/max_runtime"
PRIORITY: Final = "dagster/priority"
ONE_AT_A_TIME: Final = "casebridge/one_at_a_time"
"""Of all runs with the same value of this tag, one runs at a time. The others wait in Dagster's queue."""


def job_tags(*, max_runtime: timedelta, priority: int, one_at_a_time: str | None = None) -> dict[str, str]:
    """The tags of a job.

    - `max_runtime`: Dagster ends a run that takes longer.
    - `priority`: above 0, a run starts before the runs of a backfill, which have no priority.
    - `one_at_a_time`: runs with the same value run one after another.
    """
    tags = {MAX_RUNTIME: str(int(max_runtime.total_seconds())), PRIORITY: str(priority)}
    return {**tags, ONE_AT_A_TIME: one_at_a_time} if one_at_a_time else tags
