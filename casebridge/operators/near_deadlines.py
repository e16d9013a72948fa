"""Open cases whose legal deadline is past or near: all of them counted, the most urgent named."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from casebridge.bounded import AT_ONCE, bounded
from casebridge.cases.case import DISCARDED
from casebridge.clock import Clock
from casebridge.database import Database, Document
from casebridge.exams.explanations.case_state import OPEN

ONE_DAY: Final = timedelta(days=1)
SHOWN: Final = dict.fromkeys(("correlationId", "institution", "deadline", "state", "setAside"), 1)


@dataclass(frozen=True)
class NearDeadlines:
    """`past` and `near` count all; `most_urgent` are the first of both, with the fields `SHOWN`."""

    past: int
    near: int
    most_urgent: Sequence[Document]


def near_deadlines(database: Database, clock: Clock, days: int, named: int) -> NearDeadlines:
    """`near` is at most `days` away; the discarded cases are left out. At most `named` cases are brought over."""
    now = clock.now()
    # A deadline is a date, kept as its midnight: it is past when that day is over.
    past = database.cases.count_documents(_until(now - ONE_DAY))
    wanted = _until(now + timedelta(days=days))
    found = database.cases.count_documents(wanted)
    first = database.cases.find(wanted, SHOWN, batch_size=AT_ONCE).sort("deadline", 1).limit(named)
    return NearDeadlines(past, max(0, found - past), bounded(first, named))


def _until(moment: object) -> Document:
    return {"state": {"$in": list(OPEN)}, "deadline": {"$lte": moment}, "setAside": {"$ne": DISCARDED}}
