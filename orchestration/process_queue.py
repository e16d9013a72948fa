"""The job that handles one batch of the queue: the same code as a listener, for when no listener is alive."""

from datetime import timedelta

import dagster as dg
from pydantic import Field

from assets.batch_metadata import batch_metadata
from assets.status_metadata import status_metadata
from orchestration.job_tags import job_tags
from resources.config_numbers import AtLeastOne
from resources.wiring.bridge_resource import BridgeResource

LIMIT = 2000
"""Messages per queue and run: a batch that ends. What is left is the next run's."""


class BatchConfig(dg.Config):
    """How much one run handles."""

    limit: AtLeastOne = Field(default=LIMIT, description="At most so many messages of each queue.")


@dg.op(out=dg.Out(dg.Nothing))
def handle_batch(context: dg.OpExecutionContext, config: BatchConfig, bridge: BridgeResource) -> dg.Output[None]:
    """Every declared queue in turn. Reports each queue's share to its asset, so that the lineage tells the truth."""
    wired = bridge.get()
    handled = 0
    for name, queue in wired.queues.items():
        batch = wired.synchronisation.run_batch((name,), limit=config.limit)
        handled += batch.handled
        if batch.handled and queue.reported_as:
            context.log_event(
                dg.AssetMaterialization(
                    queue.reported_as,
                    description="Handled by the job process_queue.",
                    metadata={**batch_metadata(batch), **status_metadata(wired)},
                )
            )
    return dg.Output(None, metadata={"handled": handled, **status_metadata(wired)})


@dg.job(
    description="One batch of the queue. Sensors start it when no listener is alive; it may be run at any time.",
    tags=job_tags(max_runtime=timedelta(minutes=30), priority=8, one_at_a_time="process_queue"),
)
def process_queue() -> None:
    handle_batch()
