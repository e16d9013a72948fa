"""The Dagster parts of a capability. `casebridge.capability.Capability` declares everything else of it.

A module `orchestration.<name>` has a function `parts()` that returns `DagsterParts`. `orchestration.build` loops over them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from orchestration.synchronisation_config import ReconcileConfig, SyncConfig


@dataclass(frozen=True)
class Synchronised:
    """An asset that `sync_now` and `reconcile` materialise, and how each of them makes the asset's configuration."""

    asset: dg.AssetsDefinition
    synchronise: Callable[[SyncConfig], dg.Config] | None = None
    reconcile: Callable[[ReconcileConfig], dg.Config] | None = None


@dataclass(frozen=True, kw_only=True)
class DagsterParts:
    """One capability in Dagster. Every field may be left empty."""

    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec] = ()
    checks: Sequence[dg.AssetChecksDefinition] = ()
    jobs: Sequence[Any] = ()
    """Jobs of its own, in addition to those of the platform."""
    schedules: Sequence[dg.ScheduleDefinition] = ()
    sensors: Callable[[str], Sequence[dg.SensorDefinition]] = lambda _batch_job: ()
    """Makes its sensors, given the name of the job that handles one batch of the queue. The sensors request runs of that job."""
    synchronised: Sequence[Synchronised] = ()
    """In the order of their dependencies."""
