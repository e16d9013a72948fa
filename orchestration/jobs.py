"""The jobs that materialise the assets of all capabilities: synchronise now, and reconcile.

The jobs of the queue have files of their own (`process_queue`, `dead_letter_jobs`).
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from orchestration.capability import Synchronised
from orchestration.job_tags import job_tags
from orchestration.synchronisation_config import ReconcileConfig, SyncConfig

if TYPE_CHECKING:  # Dagster exports no name for what `define_asset_job` returns
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def sync_now(
    synchronised: Sequence[Synchronised], also: Sequence[dg.AssetsDefinition]
) -> "UnresolvedAssetJobDefinition":
    """The job that materialises the synchronised assets, and then the assets in `also`, which only report."""

    @dg.config_mapping
    def synchronisation(config: SyncConfig) -> dg.RunConfig:
        return _run_config({one.asset: one.synchronise(config) for one in synchronised if one.synchronise})

    return dg.define_asset_job(
        "sync_now",
        selection=_selection(synchronised, also).without_checks(),
        config=synchronisation,
        description="Read FS, send requests on, wait up to two minutes for the outcome, look for answers, register them.",
        tags=job_tags(max_runtime=timedelta(minutes=20), priority=10),
    )


def reconcile(
    synchronised: Sequence[Synchronised], also: Sequence[dg.AssetsDefinition]
) -> "UnresolvedAssetJobDefinition":
    """The job that does the same for everything that is pending, and runs every check."""

    @dg.config_mapping
    def reconciliation(config: ReconcileConfig) -> dg.RunConfig:
        return _run_config({one.asset: one.reconcile(config) for one in synchronised if one.reconcile})

    return dg.define_asset_job(
        "reconcile",
        selection=_selection(synchronised, also),
        config=reconciliation,
        description=(
            "Everything that is pending, up to now: reads FS 14 days back, looks at registered answers again, runs every "
            "check. Finds what sensors missed; may be run at any time."
        ),
        tags=job_tags(max_runtime=timedelta(minutes=60), priority=5, one_at_a_time="reconcile"),
    )


def _selection(synchronised: Sequence[Synchronised], also: Sequence[dg.AssetsDefinition]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*(one.asset for one in synchronised), *also)


def _run_config(chosen: dict[dg.AssetsDefinition, dg.Config]) -> dg.RunConfig:
    return dg.RunConfig(ops={asset.op.name: config for asset, config in chosen.items()})
