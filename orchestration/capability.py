"""What Dagster needs of a capability, declared beside `casebridge.capability.Capability`.

A module `orchestration.<name>` has a function `parts()` that returns it; `orchestration.build` loops over them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from orchestration.synchronisation_config import ReconcileConfig, SyncConfig


@dataclass(frozen=True)
class Synchronised:
    """An asset that `sync_now` and `reconcile` materialise, and what they choose for it."""

    asset: dg.AssetsDefinition
    synchronise: Callable[[SyncConfig], dg.Config] | None = None
    reconcile: Callable[[ReconcileConfig], dg.Config] | None = None


@dataclass(frozen=True, kw_only=True)
class DagsterParts:
    """One capability in Dagster. Every field may be left empty."""

    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec] = ()
    checks: Sequence[dg.AssetChecksDefinition] = ()
    jobs: Sequence[Any] = ()
    """Jobs of its own, beside those of the platform."""
    schedules: Sequence[dg.ScheduleDefinition] = ()
    sensors: Callable[[str], Sequence[dg.SensorDefinition]] = lambda _batch_job: ()
    """Makes its sensors. They ask for runs of the job with this name, which handles one batch of the queue."""
    synchronised: Sequence[Synchronised] = ()
    """In the order of their dependencies."""
