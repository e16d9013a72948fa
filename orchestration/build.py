"""Builds the definitions. Tests and tools build their own, with resources of their choice; nothing is patched."""

from collections.abc import Mapping

import dagster as dg

from assets.audit_log import audit_log
from assets.checks import CHECKS
from assets.dispatched_requests import dispatched_requests
from assets.explanation_answers import explanation_answers
from assets.explanation_requests import explanation_requests
from assets.kafka_inbox import kafka_inbox, kafka_lag
from assets.outside_systems import outside_systems
from assets.partitions import INSTITUTIONS
from assets.registered_explanations import registered_explanations
from assets.request_ledger import request_ledger
from assets.status_metadata import polled_metadata
from orchestration.clean_up import clean_up
from orchestration.dead_letter_jobs import DEAD_LETTER_JOBS
from orchestration.jobs import reconcile, sync_now
from orchestration.process_queue import process_queue
from orchestration.schedules import clean_up_every_night, reconcile_every_two_hours
from resources.wiring.bridge_resource import BridgeResource
from sensors.backlog_sensor import backlog_sensor
from sensors.fs_requests import fs_requests_sensor
from sensors.run_failure_alerts import run_failure_alerts
from sensors.wiseflow_answers import wiseflow_answers_sensor


def build_defs(resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """Fresh definitions; `resource_overrides` go before the ordinary resources, by key.

    Reads one environment variable, the interval of the sensors (`sensors.interval`); connects to nothing.
    """
    return dg.Definitions(
        assets=[
            *outside_systems(),
            explanation_requests,
            dispatched_requests,
            explanation_answers,
            registered_explanations,
            audit_log,
            kafka_inbox,
            request_ledger,
        ],
        asset_checks=[*CHECKS, kafka_lag],
        jobs=[sync_now, reconcile, process_queue, *DEAD_LETTER_JOBS, clean_up],
        schedules=[reconcile_every_two_hours, clean_up_every_night],
        sensors=[
            fs_requests_sensor(explanation_requests, polled_metadata, process_queue.name, INSTITUTIONS),
            wiseflow_answers_sensor(explanation_answers, polled_metadata, process_queue.name),
            backlog_sensor(process_queue.name),
            run_failure_alerts(),
        ],
        resources={"bridge": BridgeResource(), **(resource_overrides or {})},
        # A batch is one process: the default executor starts one for each step, which takes ten times as long.
        executor=dg.in_process_executor,
    )
