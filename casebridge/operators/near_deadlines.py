"""Open cases whose legal deadline is past or near. All are counted, and the most urgent are named."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from heapq import nsmallest
from typing import Final

from casebridge.cases.operator_cases import OperatorCases
from casebridge.clock import Clock
from casebridge.database import Document
from casebridge.messaging.queue.message import LONG_AGO
from casebridge.operators import stored_fields

ONE_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class NearDeadlines:
    """`past` and `near` count all cases. `most_urgent` has the first of both, in the form of `OperatorCases.due_by`."""

    past: int
    near: int
    most_urgent: Sequence[Document]


def near_deadlines(cases: Sequence[OperatorCases], clock: Clock, days: int, named: int) -> NearDeadlines:
    """The cases whose deadline is past or at most `days` away, without discarded cases.

    At most `named` cases of each capability are read.
    """
    now = clock.now()
    # A deadline is a date, stored as midnight at its beginning. It is past when that day is over.
    past = sum(store.count_due_by(now - ONE_DAY) for store in cases)
    until = now + timedelta(days=days)
    found = sum(store.count_due_by(until) for store in cases)
    first = [document for store in cases for document in store.due_by(until, named)]
    most_urgent = nsmallest(named, first, key=lambda document: stored_fields.time(document, "deadline") or LONG_AGO)
    return NearDeadlines(past, max(0, found - past), most_urgent)
