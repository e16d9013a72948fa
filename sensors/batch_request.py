"""Asks Dagster for a run that handles one batch of the queue, if one is needed and none is under way."""

from dataclasses import dataclass
from typing import Final

import dagster as dg

from resources.wiring.process import Process
from sensors.backlog import read_backlog
from sensors.cursor import Cursor

UNDER_WAY: Final = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)


@dataclass(frozen=True)
class BatchRequest:
    """At most one run request, the cursor that counts it, and a sentence why a run is requested or not."""

    run_requests: list[dg.RunRequest]
    cursor: Cursor
    summary: str


def batch_request(
    process: Process, instance: dg.DagsterInstance, job: str, cursor: Cursor, sensor: str
) -> BatchRequest:
    """Request a run if one is needed and none is under way: two runs would only compete for the same messages."""
    backlog = read_backlog(process)
    if not backlog.batch_needed:
        return BatchRequest([], cursor, backlog.summary)
    if instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=UNDER_WAY)):
        return BatchRequest([], cursor, f"{backlog.summary}, and a batch is under way")
    cursor = cursor.next_batch()
    return BatchRequest([dg.RunRequest(run_key=cursor.run_key(sensor))], cursor, backlog.summary)
