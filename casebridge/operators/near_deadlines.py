"""Open cases whose legal deadline is past or near: all of them counted, the most urgent named."""

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
    """`past` and `near` count all; `most_urgent` are the first of both, as `OperatorCases.due_by` reads them."""

    past: int
    near: int
    most_urgent: Sequence[Document]


def near_deadlines(cases: Sequence[OperatorCases], clock: Clock, days: int, named: int) -> NearDeadlines:
    """`near` is at most `days` away; the discarded cases are left out. At most `named` cases of each capability are read."""
    now = clock.now()
    # A deadline is a date, kept as its midnight: it is past when that day is over.
    past = sum(store.count_due_by(now - ONE_DAY) for store in cases)
    until = now + timedelta(days=days)
    found = sum(store.count_due_by(until) for store in cases)
    first = [document for store in cases for document in store.due_by(until, named)]
    most_urgent = nsmallest(named, first, key=lambda document: stored_fields.time(document, "deadline") or LONG_AGO)
    return NearDeadlines(past, max(0, found - past), most_urgent)
