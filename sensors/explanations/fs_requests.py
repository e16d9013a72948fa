"""The sensor that polls FS for requests."""

from collections.abc import Sequence

import dagster as dg

from casebridge.institutions.institution import Institution
from casebridge.sources.polling import PollOutcome
from casebridge.sources.source import PollRange
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from sensors.polling_sensor import BUDGET_SECONDS, PollMetadata, polling_sensor


def read_requests(process: Process, institutions: Sequence[Institution]) -> list[PollOutcome]:
    """Read what changed in FS since each watermark, with the overlap, within the time of a tick."""
    return process.capability(Explanations).requests.poll(institutions, PollRange(budget_seconds=BUDGET_SECONDS))


def fs_requests_sensor(
    asset: dg.AssetsDefinition,
    poll_metadata: PollMetadata,
    batch_job: str,
    institutions: dg.DynamicPartitionsDefinition,
) -> dg.SensorDefinition:
    return polling_sensor(
        name="fs_requests_sensor",
        description="Reads new and changed requests from FS into the inbox. Starts a batch only when no listener is alive.",
        source="FS",
        poll=read_requests,
        asset=asset,
        poll_metadata=poll_metadata,
        batch_job=batch_job,
        institutions=institutions,
    )
