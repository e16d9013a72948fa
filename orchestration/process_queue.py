"""The job that handles one batch of the queue when no listener is alive. It runs the same code as a listener."""

from datetime import timedelta

import dagster as dg
from pydantic import Field

from assets.batch_metadata import batch_metadata
from assets.status_metadata import status_metadata
from orchestration.job_tags import job_tags
from resources.config_numbers import AtLeastOne
from resources.wiring.process_resource import ProcessResource

LIMIT = 2000
"""The most messages of each queue in one run, so that a run ends. The next run handles the rest."""


class BatchConfig(dg.Config):
    """How much one run handles."""

    limit: AtLeastOne = Field(default=LIMIT, description="At most so many messages of each queue.")


@dg.op(out=dg.Out(dg.Nothing))
def handle_batch(context: dg.OpExecutionContext, config: BatchConfig, process: ProcessResource) -> dg.Output[None]:
    """Handle every declared queue in turn. Report what was handled to the queue's asset, so that the lineage is right."""
    wired = process.get()
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
