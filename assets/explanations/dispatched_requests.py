"""The requests that were sent to the exam system."""

from datetime import timedelta
from typing import Final

import dagster as dg
from pydantic import Field

from assets.batch_metadata import batch_metadata
from assets.explanations.explanation_requests import explanation_requests
from assets.ownership import FRESHNESS, GROUP, OWNERS, WISEFLOW_POOL
from assets.status_metadata import status_metadata
from casebridge.exams.explanations.request_reader import QUEUE
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.message import UNFINISHED
from casebridge.operators.stored_fields import text
from resources.config_numbers import AtLeastOneOrNone, Seconds
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from resources.wiring.process_resource import ProcessResource

WAIT_SECONDS: Final = 120.0
"""How long a synchronisation waits for the outcome: two minutes, as in the source system."""
MOST_AWAITED: Final = 5000
"""At most so many cases are waited for in one run. The numbers of `pending_before` count only these cases."""


class DispatchConfig(dg.Config):
    """How much is handled, and how long the outcome is waited for."""

    limit: AtLeastOneOrNone = Field(default=None, description="At most so many messages; empty means all that are due.")
    wait_seconds: Seconds = Field(
        default=WAIT_SECONDS, description="How long to wait for what is tried again or handled elsewhere."
    )


@dg.asset(
    deps=[explanation_requests],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"wiseflow", "mongodb"},
    tags={"casebridge/side": "way_there"},
    pool=WISEFLOW_POOL,
    freshness_policy=FRESHNESS,
)
def dispatched_requests(config: DispatchConfig, process: ProcessResource) -> dg.MaterializeResult[None]:
    """Requests that the exam system has: found the flow, found the candidate, asked the assessor.

    Materialising handles one batch of the queue, then waits up to `wait_seconds` for the outcome of what was pending: a
    listener may be at work on part of it. What cannot be handed on is set aside with a code and a next action.
    """
    wired = process.get()
    within = timedelta(seconds=config.wait_seconds)
    pending = pending_cases(wired, within)
    requests = wired.capability(Explanations).requests
    batch = wired.synchronisation.run_batch(requests.queues, limit=config.limit)
    if config.limit is None:
        # Read again: what the batch had to postpone (a pause, a long wait) will not finish while we wait.
        wired.synchronisation.wait_for(requests, pending_cases(wired, within), config.wait_seconds)
    outcome = wired.synchronisation.wait_for(requests, pending, 0.0)
    return dg.MaterializeResult(
        metadata={
            **batch_metadata(batch),
            "pending_before": len(pending),
            "pending_before_dispatched": outcome.dispatched,
            "pending_before_set_aside": outcome.set_aside,
            "pending_before_waiting": outcome.waiting,
            "pending_before_withdrawn": outcome.withdrawn,
            **status_metadata(wired),
        }
    )


def pending_cases(process: Process, within: timedelta) -> list[str]:
    """Correlation ids of the cases whose request can reach the exam system `within` this time.

    At most `MOST_AWAITED`: a batch does not finish more in two minutes.
    Paused institutions are left out, because their credentials will hardly be repaired in two minutes.
    """
    selection = {
        "queue": QUEUE,
        "status": {"$in": [status.value for status in UNFINISHED]},
        "dueAt": {"$lte": process.stores.clock.now() + within},
    }
    paused = process.stores.pauses.paused()
    # Read only these fields, of a bounded number of messages: a message may contain a whole Kafka record.
    fields = {"_id": 0, "correlationId": 1, "institution": 1, "examSystem": 1, "queue": 1}
    found = process.stores.database.messages.find(selection, fields, batch_size=MOST_AWAITED).limit(MOST_AWAITED)
    return [
        text(message, "correlationId")
        for message in found
        if not (lane := Lane.of(message)).is_among(paused) and process.stores.queue.lanes.serves(lane)
    ]
