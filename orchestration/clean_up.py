"""The job that removes what has been finished for long: from MongoDB, and from Dagster's own storage.

Dagster itself removes only ticks (`retention` in `dagster.yaml`). What is kept for how long is in `docs/operating.md`.
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
from resources.wiring.bridge_resource import BridgeResource

ASKED_BY: Final = "Dagster: clean_up"


class CleanUpConfig(dg.Config):
    """Whether for real. How long what is kept is in the settings `CASEBRIDGE_RETENTION__…` of the process."""

    dry_run: bool = Field(default=True, description="Only show what would be removed.")


@dg.op(out=dg.Out(dg.Nothing))
def prune_mongodb(config: CleanUpConfig, bridge: BridgeResource) -> dg.Output[None]:
    """Processed messages, old keys, old audit entries, told alerts, traces of dead listeners. Never a case."""
    report = bridge.get().operators.retention.prune(dry_run=config.dry_run, asked_by=ASKED_BY)
    return dg.Output(None, metadata={"found": report.found, "removed": report.removed, "by_collection": _table(report)})


def remove_old_runs_beside(check_keys: Sequence[dg.AssetCheckKey]) -> dg.OpDefinition:
    """The op `remove_old_runs`. It keeps the runs that hold the latest result of these checks."""

    @dg.op(out=dg.Out(dg.Nothing))
    def remove_old_runs(
        context: dg.OpExecutionContext, config: CleanUpConfig, bridge: BridgeResource
    ) -> dg.Output[None]:
        """Dagster's runs with their events; not those whose run keys count, nor those that hold what the UI shows as latest."""
        old = OldRuns(context.instance, bridge.get().settings.retention, check_keys, datetime.now(UTC))
        outcome = old.remove(dry_run=config.dry_run)
        kept = {f"kept_for_{why}": count for why, count in outcome.needed.items()}
        return dg.Output(None, metadata={"found": outcome.found, "removed": outcome.removed, **kept})

    return remove_old_runs


@dg.op(out=dg.Out(dg.Nothing))
def remove_runless_events(
    context: dg.OpExecutionContext, config: CleanUpConfig, bridge: BridgeResource
) -> dg.Output[None]:
    """What sensors and listeners reported without a run; each asset keeps its latest."""
    old = RunlessEvents(context.instance, bridge.get().settings.retention, datetime.now(UTC))
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
        """Three independent steps: one that fails does not stop the others."""
        prune_mongodb()
        remove_old_runs()
        remove_runless_events()

    return job
