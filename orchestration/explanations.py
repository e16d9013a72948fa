"""Grade explanations in Dagster: assets, checks, sensors, and how a synchronisation configures each asset."""

from assets.explanations.checks import CHECKS
from assets.explanations.dispatched_requests import DispatchConfig, dispatched_requests
from assets.explanations.explanation_answers import PollConfig, explanation_answers
from assets.explanations.explanation_requests import ReadConfig, explanation_requests
from assets.explanations.outside_systems import outside_systems
from assets.explanations.registered_explanations import RegisterConfig, registered_explanations
from assets.explanations.request_ledger import request_ledger
from assets.partitions import INSTITUTIONS
from assets.status_metadata import polled_metadata
from orchestration.capability import DagsterParts, Synchronised
from sensors.explanations.fs_requests import fs_requests_sensor
from sensors.explanations.wiseflow_answers import wiseflow_answers_sensor


def parts() -> DagsterParts:
    return DagsterParts(
        assets=(
            *outside_systems(),
            explanation_requests,
            dispatched_requests,
            explanation_answers,
            registered_explanations,
            request_ledger,
        ),
        checks=CHECKS,
        sensors=lambda batch_job: (
            fs_requests_sensor(explanation_requests, polled_metadata, batch_job, INSTITUTIONS),
            wiseflow_answers_sensor(explanation_answers, polled_metadata, batch_job),
        ),
        synchronised=(
            Synchronised(
                explanation_requests,
                lambda sync: ReadConfig(institutions=sync.institutions, reach_back_hours=sync.reach_back_hours),
                lambda reconcile: ReadConfig(institutions=reconcile.institutions, reconcile=True),
            ),
            Synchronised(
                dispatched_requests,
                lambda sync: DispatchConfig(limit=sync.limit, wait_seconds=sync.wait_seconds),
                lambda reconcile: DispatchConfig(wait_seconds=reconcile.wait_seconds),
            ),
            Synchronised(
                explanation_answers,
                lambda sync: PollConfig(institutions=sync.institutions, also_answered=sync.also_answered),
                lambda reconcile: PollConfig(institutions=reconcile.institutions, also_answered=True),
            ),
            Synchronised(
                registered_explanations,
                lambda sync: RegisterConfig(limit=sync.limit),
                lambda _reconcile: RegisterConfig(),
            ),
        ),
    )
