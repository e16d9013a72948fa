"""The sensor that polls WISEflow for answers."""

from collections.abc import Sequence

import dagster as dg

from casebridge.institutions.institution import Institution
from casebridge.sources.polling import PollOutcome
from casebridge.sources.source import PollRange
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from sensors.polling_sensor import BUDGET_SECONDS, PollMetadata, polling_sensor


def poll_answers(process: Process, institutions: Sequence[Institution]) -> list[PollOutcome]:
    """Read the answers to open cases, within the time of a tick."""
    return process.capability(Explanations).answers.poll(institutions, PollRange(budget_seconds=BUDGET_SECONDS))


def wiseflow_answers_sensor(
    asset: dg.AssetsDefinition,
    poll_metadata: PollMetadata,
    batch_job: str,
) -> dg.SensorDefinition:
    return polling_sensor(
        name="wiseflow_answers_sensor",
        description="Looks for answers in WISEflow and puts them into the inbox. Starts a batch only when no listener is alive.",
        source="WISEflow",
        poll=poll_answers,
        asset=asset,
        poll_metadata=poll_metadata,
        batch_job=batch_job,
    )
