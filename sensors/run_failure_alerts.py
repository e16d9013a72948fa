"""Alerts people to failed runs of Dagster. These alerts use the same outbox as all others.

Dagster's own `run_failure_sensor` is not used, for two reasons:

- It moves its cursor on even if the alert fails. So a run that failed because MongoDB was away would never be reported.
- It ignores runs that failed before its first tick.

This sensor moves its cursor on only after each alert is stored as pending. Storing the same alert again changes nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from casebridge.alerts.alert import Alert
from resources.wiring.process import Process
from resources.wiring.process_resource import ProcessResource

PAGE: Final = 25
"""Failed runs per tick. That is 6,000 an hour, so that the sensor keeps up with many failures."""
SECONDS: Final = 15
LOOK_BACK: Final = timedelta(days=1)
"""How far the very first tick reads back."""


def run_alert(run: dg.DagsterRun) -> Alert:
    """The alert for a failed run. It names the job and the run, never the error's text, which could quote anything.

    Its key is the job. So the automatic retries of one run, or a job that fails every minute, cause one alert an hour.
    """
    root = run.root_run_id or run.run_id
    return Alert(
        institution="dagster",
        org_id="dagster",
        submodule=run.job_name,
        step="run",
        code="dagster.run_failed",
        cause=f"The run {root} of the job {run.job_name} failed.",
        next_action=f"Open the run {root} in Dagster: the failed step names cause and next action. Other runs go on.",
    )


def enqueue_alerts(process: Process, runs: Sequence[dg.DagsterRun]) -> None:
    """Store a pending alert for each root run of these runs. If no listener is alive, also send all pending alerts."""
    reported: set[str] = set()
    for run in runs:
        root = run.root_run_id or run.run_id
        if root not in reported:
            process.stores.alerts.enqueue(run_alert(run))
            reported.add(root)
    if not process.operators.status.listeners_alive(process.stores.served):
        process.relay.send_alerts()


def run_failure_alerts() -> dg.SensorDefinition:
    """The sensor that reports the failed runs of all jobs of the instance."""

    @dg.sensor(
        name="run_failure_alerts",
        description="Stores an alert for each failed run. Also sends it when no listener is alive to do so.",
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def tick(context: dg.SensorEvaluationContext, process: ProcessResource) -> dg.SensorResult:
        page = context.instance.fetch_run_status_changes(
            dg.RunStatusChangeRecordsFilter(
                dg.DagsterEventType.RUN_FAILURE,
                after_timestamp=None if context.cursor else (datetime.now(UTC) - LOOK_BACK).timestamp(),
            ),
            limit=PAGE,
            cursor=context.cursor,
            ascending=True,
        )
        runs = [context.instance.get_run_by_id(record.run_id) for record in page.records]
        enqueue_alerts(process.get(), [run for run in runs if run is not None])
        reported = f"{len(page.records)} failed runs since the last look"
        # Without a record there is no new cursor: the next tick reads from the same place again.
        return dg.SensorResult(skip_reason=reported, cursor=page.cursor if page.records else context.cursor)

    return tick
