"""Counts how far the requests have come that a synchronisation waits for."""

from collections import Counter
from collections.abc import Sequence

from casebridge.exams.explanations.case_state import CaseState
from casebridge.exams.explanations.cases import Cases
from casebridge.sources.source import Awaited


def awaited_dispatch(cases: Cases, correlation_ids: Sequence[str]) -> Awaited:
    """Count these cases by their states. Every case that the exam system has counts as dispatched, answered or not."""
    states = Counter(cases.states_of(correlation_ids).values())
    waiting, withdrawn = states.pop(CaseState.REQUESTED, 0), states.pop(CaseState.WITHDRAWN, 0)
    set_aside = states.pop("set_aside", 0)
    return Awaited(sum(states.values()), set_aside, waiting, withdrawn)
