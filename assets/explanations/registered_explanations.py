"""Explanations registered in FS: the last step of a case."""

import dagster as dg
from pydantic import Field

from assets.batch_metadata import batch_metadata
from assets.explanations.explanation_answers import explanation_answers
from assets.ownership import FRESHNESS, FS_POOL, GROUP, OWNERS
from assets.status_metadata import status_metadata
from resources.config_numbers import AtLeastOneOrNone
from resources.wiring.explanations import Explanations
from resources.wiring.process_resource import ProcessResource


class RegisterConfig(dg.Config):
    """How much is handled."""

    limit: AtLeastOneOrNone = Field(default=None, description="At most so many messages; empty means all that are due.")


@dg.asset(
    deps=[explanation_answers],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"fs", "mongodb"},
    tags={"casebridge/side": "way_back"},
    pool=FS_POOL,
    freshness_policy=FRESHNESS,
)
def registered_explanations(config: RegisterConfig, process: ProcessResource) -> dg.MaterializeResult[None]:
    """Explanations that FS has: text fetched, registered, and shown in WISEflow where the institution asks for it.

    Materialising handles one batch of the queue of answers. A changed answer is registered again, an unchanged one never.
    """
    wired = process.get()
    batch = wired.synchronisation.run_batch(wired.capability(Explanations).answers.queues, limit=config.limit)
    return dg.MaterializeResult(metadata={**batch_metadata(batch), **status_metadata(wired)})
