"""When jobs run by the clock."""

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:  # Dagster exports no name for what `define_asset_job` returns
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def clean_up_every_night(clean_up: dg.JobDefinition) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="clean_up_every_night",
        job=clean_up,
        run_config={"dry_run": False},
        cron_schedule="30 3 * * *",
        execution_timezone="Europe/Oslo",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Removes what has been finished for longer than the settings say; the next night makes up for one missed.",
    )


def reconcile_every_two_hours(reconcile: "UnresolvedAssetJobDefinition") -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="reconcile_every_two_hours",
        job=reconcile,
        cron_schedule="0 */2 * * *",
        execution_timezone="Europe/Oslo",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            "The 120-minute synchronisation. It means: everything that is pending up to now, never one window; after a downtime "
            "Dagster runs only the latest missed tick, and that is enough."
        ),
    )
