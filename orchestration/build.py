"""Builds the definitions. Tests and tools build their own, with resources of their choice; nothing is patched."""

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
from resources.wiring.bridge_resource import BridgeResource
from resources.wiring.capabilities import chosen, dagster_modules
from sensors.backlog_sensor import backlog_sensor
from sensors.run_failure_alerts import run_failure_alerts


def build_defs(
    resource_overrides: Mapping[str, object] | None = None, capabilities: Sequence[DagsterParts] | None = None
) -> dg.Definitions:
    """Fresh definitions; `resource_overrides` go before the ordinary resources, by key.

    Reads which capabilities there are (`CASEBRIDGE_CAPABILITIES`) unless they are handed in, and the interval of the sensors
    (`sensors.interval`); connects to nothing.
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
        resources={"bridge": BridgeResource(), **(resource_overrides or {})},
        # A batch is one process: the default executor starts one for each step, which takes ten times as long.
        executor=dg.in_process_executor,
    )


def check_keys(parts: Sequence[DagsterParts]) -> list[dg.AssetCheckKey]:
    """The keys of all asset checks, also of those that an asset reports itself."""
    assets = (asset for part in parts for asset in part.assets if isinstance(asset, dg.AssetsDefinition))
    return [key for each in (*_checks(parts), *assets) for key in each.check_keys]


def _checks(parts: Sequence[DagsterParts]) -> list[dg.AssetChecksDefinition]:
    return [*(check for part in parts for check in part.checks), kafka_lag]


def declared_parts() -> list[DagsterParts]:
    """The parts of this installation's capabilities."""
    return [module.parts() for module in dagster_modules(chosen(CapabilitySettings()))]
