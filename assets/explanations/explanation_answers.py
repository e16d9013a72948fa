"""Answers of the assessors: read from the exam system and accepted into the inbox."""

import dagster as dg
from pydantic import Field

from assets.explanations.dispatched_requests import dispatched_requests
from assets.explanations.outside_systems import WISEFLOW_EXPLANATIONS
from assets.institutions import chosen_institutions
from assets.ownership import FRESHNESS, GROUP, OWNERS, WISEFLOW_POOL
from assets.poll_metadata import raise_if_all_failed
from assets.status_metadata import polled_metadata
from casebridge.sources.source import PollRange
from resources.wiring.explanations import Explanations
from resources.wiring.process_resource import ProcessResource


class PollConfig(dg.Config):
    """Which institutions are read, and whether registered answers are read again."""

    institutions: list[str] = Field(
        default=[], description="Only these, as in uis.no/prod; empty means all that are active."
    )
    also_answered: bool = Field(default=False, description="Also look for changes of answers that FS has already.")


@dg.asset(
    # The direct dependency on `dispatched_requests` fixes the order within one run: an external asset does not pass it on.
    deps=[WISEFLOW_EXPLANATIONS, dispatched_requests],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"wiseflow", "mongodb"},
    tags={"casebridge/side": "inbox"},
    pool=WISEFLOW_POOL,
    freshness_policy=FRESHNESS,
)
def explanation_answers(config: PollConfig, process: ProcessResource) -> dg.MaterializeResult[None]:
    """Answers that are ready in WISEflow, each new or changed one accepted once into the inbox.

    Ready means accepted, or submitted where the institution has chosen so. Only flows with open cases are looked at. An
    institution that fails is named and does not stop the others.
    """
    wired = process.get()
    institutions = chosen_institutions(wired, config.institutions)
    outcomes = wired.capability(Explanations).answers.poll(institutions, PollRange(also_finished=config.also_answered))
    raise_if_all_failed("WISEflow", outcomes)
    return dg.MaterializeResult(metadata=polled_metadata(wired, outcomes))
