"""Tells people of failed runs, by the same outbox as every alert.

Not a `run_failure_sensor`: that one moves its cursor on even when telling fails, so a run that failed because MongoDB was
away would never be heard of; it also forgets what failed before its first tick. This sensor moves on only after each alert is
owed, and owing the same alert again changes nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from casebridge.alerts.alert import Alert
from resources.wiring.bridge_resource import BridgeResource
from resources.wiring.process import Process

PAGE: Final = 25
"""Failed runs per tick: six thousand an hour, so a crowd of failures does not fall behind."""
SECONDS: Final = 15
LOOK_BACK: Final = timedelta(days=1)
"""How far the very first tick looks back."""


def run_alert(run: dg.DagsterRun) -> Alert:
    """Names job and run, never the error's text, which may quote anything.

    It is keyed by the job: automatic retries of one root run, and a job that fails every minute, are told once an hour.
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


def owe_alerts(process: Process, runs: Sequence[dg.DagsterRun]) -> None:
    """Owe an alert for each run, once for each root run of this page; without a listener, also send what is owed."""
    told: set[str] = set()
    for run in runs:
        root = run.root_run_id or run.run_id
        if root not in told:
            process.stores.alerts.enqueue(run_alert(run))
            told.add(root)
    if not process.operators.status.listeners_alive(process.stores.served):
        process.relay.send_alerts()


def run_failure_alerts() -> dg.SensorDefinition:
    """Watches every job of the instance."""

    @dg.sensor(
        name="run_failure_alerts",
        description="Owes an alert for each failed run; sends it too when no listener is alive to do so.",
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def tick(context: dg.SensorEvaluationContext, bridge: BridgeResource) -> dg.SensorResult:
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
        owe_alerts(bridge.get(), [run for run in runs if run is not None])
        told = f"{len(page.records)} failed runs since the last look"
        # Without a record there is no place to go on from: the next tick looks back once more.
        return dg.SensorResult(skip_reason=told, cursor=page.cursor if page.records else context.cursor)

    return tick
