"""The jobs that materialise assets: synchronise now, and reconcile.

One flat form configures a job; the launchpad shows its fields. The jobs of the queue have files of their own
(`process_queue`, `dead_letter_jobs`).
"""

from datetime import timedelta
from typing import Final

import dagster as dg
from pydantic import Field

from assets.audit_log import audit_log
from assets.dispatched_requests import WAIT_SECONDS, DispatchConfig, dispatched_requests
from assets.explanation_answers import PollConfig, explanation_answers
from assets.explanation_requests import ReadConfig, explanation_requests
from assets.kafka_inbox import kafka_inbox
from assets.registered_explanations import RegisterConfig, registered_explanations
from orchestration.job_tags import job_tags
from resources.config_numbers import AtLeastOneOrNone, HoursOrNone, Seconds

ROAD: Final = (explanation_requests, dispatched_requests, explanation_answers, registered_explanations, audit_log)


class SyncConfig(dg.Config):
    """What an operator chooses for a synchronisation. Everything may be left as it is."""

    institutions: list[str] = Field(
        default=[], description="Only these, as in uis.no/prod; empty means all that are active."
    )
    reach_back_hours: HoursOrNone = Field(
        default=None, description="Read FS this far behind each watermark; empty: the overlap."
    )
    wait_seconds: Seconds = Field(default=WAIT_SECONDS, description="How long to wait for the requests' outcome.")
    limit: AtLeastOneOrNone = Field(
        default=None, description="Handle at most so many messages each way; empty means all that are due."
    )
    also_answered: bool = Field(default=False, description="Also look for changes of answers that FS has already.")


class ReconcileConfig(dg.Config):
    """What an operator chooses for a reconciliation: usually nothing."""

    institutions: list[str] = Field(
        default=[], description="Only these, as in uis.no/prod; empty means all that are active."
    )
    wait_seconds: Seconds = Field(default=WAIT_SECONDS, description="How long to wait for the requests' outcome.")


@dg.config_mapping
def synchronisation(config: SyncConfig) -> dg.RunConfig:
    return _run_config(
        ReadConfig(institutions=config.institutions, reach_back_hours=config.reach_back_hours),
        DispatchConfig(limit=config.limit, wait_seconds=config.wait_seconds),
        PollConfig(institutions=config.institutions, also_answered=config.also_answered),
        RegisterConfig(limit=config.limit),
    )


@dg.config_mapping
def reconciliation(config: ReconcileConfig) -> dg.RunConfig:
    return _run_config(
        ReadConfig(institutions=config.institutions, reconcile=True),
        DispatchConfig(wait_seconds=config.wait_seconds),
        PollConfig(institutions=config.institutions, also_answered=True),
        RegisterConfig(),
    )


def _run_config(read: ReadConfig, dispatch: DispatchConfig, poll: PollConfig, register: RegisterConfig) -> dg.RunConfig:
    return dg.RunConfig(
        ops={
            "explanation_requests": read,
            "dispatched_requests": dispatch,
            "explanation_answers": poll,
            "registered_explanations": register,
        }
    )


sync_now: Final = dg.define_asset_job(
    "sync_now",
    selection=dg.AssetSelection.assets(*ROAD).without_checks(),
    config=synchronisation,
    description="Read FS, send requests on, wait up to two minutes for the outcome, look for answers, register them.",
    tags=job_tags(max_runtime=timedelta(minutes=20), priority=10),
)

reconcile: Final = dg.define_asset_job(
    "reconcile",
    selection=dg.AssetSelection.assets(*ROAD, kafka_inbox),
    config=reconciliation,
    description=(
        "Everything that is pending, up to now: reads FS 14 days back, looks at registered answers again, runs every check. "
        "Finds what sensors missed; may be run at any time."
    ),
    tags=job_tags(max_runtime=timedelta(minutes=60), priority=5, one_at_a_time="reconcile"),
)
