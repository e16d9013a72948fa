"""The rounds of explanations that a test runs by itself: read FS, poll for answers, wait until requests are sent."""

from collections.abc import Sequence
from datetime import timedelta

from casebridge.institutions.institution import Institution
from casebridge.operators.synchronisation import PollReport
from casebridge.sources.source import Awaited, PollRange
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process


def read_requests(
    process: Process,
    institutions: Sequence[Institution],
    *,
    reach_back: timedelta | None = None,
    budget_seconds: float | None = None,
) -> PollReport:
    what = PollRange(reach_back, budget_seconds=budget_seconds)
    return process.synchronisation.poll(process.capability(Explanations).requests, institutions, what)


def poll_answers(
    process: Process,
    institutions: Sequence[Institution],
    *,
    also_answered: bool = False,
    budget_seconds: float | None = None,
) -> PollReport:
    what = PollRange(None, also_answered, budget_seconds)
    return process.synchronisation.poll(process.capability(Explanations).answers, institutions, what)


def wait_for_dispatch(process: Process, correlation_ids: Sequence[str], seconds: float) -> Awaited:
    return process.synchronisation.wait_for(process.capability(Explanations).requests, correlation_ids, seconds)
