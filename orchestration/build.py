"""Builds Dagster's definitions. Tests and tools hand in resources of their own, so that nothing needs to be patched."""

from collections.abc import Mapping, Sequence

import dagster as dg

from assets.audit_log import audit_log_after
from assets.kafka_inbox import kafka_inbox, kafka_lag
from casebridge.settings import CapabilitySettings
from orchestration.capability import DagsterParts
from orchestration.clean_up import clean_up
from orchestration.dead_letter_jobs import DEAD_LETTER_JOBS
from orchestration.jobs import reconcile, sync_now
from orchestration.process_queue import process_queue
from orchestration.schedules import clean_up_every_night, reconcile_every_two_hours
from resources.wiring.capabilities import chosen, dagster_modules
from resources.wiring.process_resource import ProcessResource
from sensors.backlog_sensor import backlog_sensor
from sensors.run_failure_alerts import run_failure_alerts


def build_defs(
    resource_overrides: Mapping[str, object] | None = None, capabilities: Sequence[DagsterParts] | None = None
) -> dg.Definitions:
    """Return new definitions. `resource_overrides` replace the ordinary resources with the same keys.

    Unless `capabilities` are handed in, they are read from `CASEBRIDGE_CAPABILITIES`. The interval of the sensors is read, too
    (`sensors.interval`). This connects to nothing.
    """
    parts = capabilities if capabilities is not None else declared_parts()
    synchronised = [one for part in parts for one in part.synchronised]
    audit_log = audit_log_after([one.asset for one in synchronised])
    clean_up_job = clean_up(check_keys(parts))
    reconcile_job = reconcile(synchronised, [audit_log, kafka_inbox])
    return dg.Definitions(
        assets=[*(asset for part in parts for asset in part.assets), audit_log, kafka_inbox],
        asset_checks=_checks(parts),
        jobs=[
            sync_now(synchronised, [audit_log]),
            reconcile_job,
            process_queue,
            *DEAD_LETTER_JOBS,
            clean_up_job,
            *(job for part in parts for job in part.jobs),
        ],
        schedules=[
            reconcile_every_two_hours(reconcile_job),
            clean_up_every_night(clean_up_job),
            *(schedule for part in parts for schedule in part.schedules),
        ],
        sensors=[
            *(sensor for part in parts for sensor in part.sensors(process_queue.name)),
            backlog_sensor(process_queue.name),
            run_failure_alerts(),
        ],
        resources={"process": ProcessResource(), **(resource_overrides or {})},
        # Run all steps in one process: the default executor starts a process for each step, which takes ten times as long.
        executor=dg.in_process_executor,
    )


def check_keys(parts: Sequence[DagsterParts]) -> list[dg.AssetCheckKey]:
    """The keys of all asset checks, including those that an asset itself reports."""
    assets = (asset for part in parts for asset in part.assets if isinstance(asset, dg.AssetsDefinition))
    return [key for each in (*_checks(parts), *assets) for key in each.check_keys]


def _checks(parts: Sequence[DagsterParts]) -> list[dg.AssetChecksDefinition]:
    return [*(check for part in parts for check in part.checks), kafka_lag]


def declared_parts() -> list[DagsterParts]:
    """The parts of this installation's capabilities."""
    return [module.parts() for module in dagster_modules(chosen(CapabilitySettings()))]
