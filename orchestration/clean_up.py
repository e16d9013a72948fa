"""The job `clean_up`: it removes what was finished long ago from MongoDB and from Dagster's own storage.

Dagster itself removes only ticks (`retention` in `dagster.yaml`). `docs/operating.md` says how long each thing is kept.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
from pydantic import Field

from casebridge.operators.retention import PruneReport
from orchestration.clean_up_events import RunlessEvents
from orchestration.clean_up_runs import OldRuns
from orchestration.job_tags import job_tags
from resources.wiring.process_resource import ProcessResource

ASKED_BY: Final = "Dagster: clean_up"


class CleanUpConfig(dg.Config):
    """Whether to remove for real. The settings `CASEBRIDGE_RETENTION__…` of the process say how long each thing is kept."""

    dry_run: bool = Field(default=True, description="Only show what would be removed.")


@dg.op(out=dg.Out(dg.Nothing))
def prune_mongodb(config: CleanUpConfig, process: ProcessResource) -> dg.Output[None]:
    """Removes processed messages, old keys, old audit entries, sent alerts, traces of dead listeners. Never a case."""
    report = process.get().operators.retention.prune(dry_run=config.dry_run, asked_by=ASKED_BY)
    return dg.Output(None, metadata={"found": report.found, "removed": report.removed, "by_collection": _table(report)})


def remove_old_runs_beside(check_keys: Sequence[dg.AssetCheckKey]) -> dg.OpDefinition:
    """The op `remove_old_runs`. It keeps the runs that have the latest result of these checks."""

    @dg.op(out=dg.Out(dg.Nothing))
    def remove_old_runs(
        context: dg.OpExecutionContext, config: CleanUpConfig, process: ProcessResource
    ) -> dg.Output[None]:
        """Removes Dagster's old runs with their events. Keeps runs whose run keys count, and runs that the UI shows as latest."""
        old = OldRuns(context.instance, process.get().settings.retention, check_keys, datetime.now(UTC))
        outcome = old.remove(dry_run=config.dry_run)
        kept = {f"kept_for_{why}": count for why, count in outcome.needed.items()}
        return dg.Output(None, metadata={"found": outcome.found, "removed": outcome.removed, **kept})

    return remove_old_runs


@dg.op(out=dg.Out(dg.Nothing))
def remove_runless_events(
    context: dg.OpExecutionContext, config: CleanUpConfig, process: ProcessResource
) -> dg.Output[None]:
    """Removes what sensors and listeners reported without a run. Each asset keeps its latest event."""
    old = RunlessEvents(context.instance, process.get().settings.retention, datetime.now(UTC))
    found = old.remove(dry_run=config.dry_run)
    return dg.Output(None, metadata={"found": found, "removed": 0 if config.dry_run else found})


def _table(report: PruneReport) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "what": row.what,
                    "before": row.before.isoformat(),
                    "found": row.found,
                    "needed_still": row.spared,
                    "removed": row.removed,
                }
            )
            for row in report.removals
        ]
    )


@dg.config_mapping
def clean_up_config(config: CleanUpConfig) -> dg.RunConfig:
    return dg.RunConfig(ops=dict.fromkeys(("prune_mongodb", "remove_old_runs", "remove_runless_events"), config))


def clean_up(check_keys: Sequence[dg.AssetCheckKey]) -> dg.JobDefinition:
    """The job `clean_up`, in an installation with these asset checks."""
    remove_old_runs = remove_old_runs_beside(check_keys)

    @dg.job(
        name="clean_up",
        config=clean_up_config,
        description="Remove what has been finished for long, from MongoDB and from Dagster's own storage. A dry run first.",
        tags=job_tags(max_runtime=timedelta(minutes=60), priority=1, one_at_a_time="clean_up"),
    )
    def job() -> None:
        """Three independent steps: if one fails, the others run all the same."""
        prune_mongodb()
        remove_old_runs()
        remove_runless_events()

    return job
