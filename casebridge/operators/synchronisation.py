"""A synchronisation now: read FS, send the requests on, look for answers, register them, and wait for the outcome.

Each part is one of the pollers or one batch of the queue; both the command line and Dagster run them in this order. A listener
may be running: whoever claims a message first handles it.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from casebridge.bounded import in_parts
from casebridge.database import Database
from casebridge.exams.explanations import request_reader
from casebridge.exams.explanations.answer_poller import AnswerPoller
from casebridge.exams.explanations.case_state import OPEN, CaseState
from casebridge.exams.explanations.request_reader import RequestReader
from casebridge.institutions.institution import Institution
from casebridge.messaging.listener.listener import Listener
from casebridge.sources.polling import PollOutcome

LOOK_EVERY_SECONDS: Final = 0.25


@dataclass(frozen=True)
class PollReport:
    """One round over all institutions, in counts; `failed` maps institutions to the code of what went wrong."""

    institutions: int
    """Each exam system of an institution counts for itself."""
    seen: int
    accepted: int
    known: int
    skipped: int
    failed: dict[str, str]
    counts: dict[str, int]
    correlation_ids: tuple[str, ...] = field(default=(), repr=False)

    @property
    def all_failed(self) -> bool:
        """Nothing could be read at all: that is an outage, not an empty round."""
        return bool(self.failed) and len(self.failed) == self.institutions - self.skipped

    @classmethod
    def of(cls, outcomes: Sequence[PollOutcome]) -> "PollReport":
        counts: Counter[str] = Counter()
        for outcome in outcomes:
            counts.update(outcome.counts)
        return cls(
            institutions=len(outcomes),
            seen=sum(outcome.seen for outcome in outcomes),
            accepted=sum(len(outcome.accepted) for outcome in outcomes),
            known=sum(outcome.known for outcome in outcomes),
            skipped=sum(outcome.skipped for outcome in outcomes),
            failed=_failed(outcomes),
            counts=dict(counts),
            correlation_ids=tuple(key for outcome in outcomes for key in outcome.accepted),
        )


def _failed(outcomes: Sequence[PollOutcome]) -> dict[str, str]:
    """By institution; by its exam system, too, where several were polled."""
    polled = Counter(outcome.institution for outcome in outcomes)
    return {
        outcome.institution if polled[outcome.institution] == 1 else outcome.tenant: outcome.error.code
        for outcome in outcomes
        if outcome.error
    }


@dataclass(frozen=True)
class BatchReport:
    """What one batch of the queue came to: messages by status, and by code where they failed."""

    handled: int
    by_status: dict[str, int]
    by_code: dict[str, int]


@dataclass(frozen=True)
class Awaited:
    """What became of the cases that were waited for; `waiting` did not get there in time."""

    dispatched: int
    """The exam system has the request, or had it and has answered."""
    set_aside: int
    waiting: int
    withdrawn: int
    """Removed or settled in FS meanwhile."""


class Synchronisation:
    """The parts of a synchronisation; each may be run alone, again, and side by side with itself."""

    def __init__(
        self,
        database: Database,
        reader: RequestReader,
        poller: AnswerPoller,
        make_listener: Callable[[tuple[str, ...]], Listener],
    ) -> None:
        self._cases = database.cases
        self._reader = reader
        self._poller = poller
        self._make_listener = make_listener

    def read_requests(
        self,
        institutions: Sequence[Institution],
        *,
        reach_back: timedelta | None = None,
        budget_seconds: float | None = None,
    ) -> PollReport:
        return PollReport.of(self._reader.read_new(institutions, reach_back=reach_back, budget_seconds=budget_seconds))

    def poll_answers(
        self, institutions: Sequence[Institution], *, also_answered: bool = False, budget_seconds: float | None = None
    ) -> PollReport:
        return PollReport.of(
            self._poller.poll(institutions, also_answered=also_answered, budget_seconds=budget_seconds)
        )

    def run_batch(
        self, queues: tuple[str, ...] = (), *, limit: int | None = None, stop: threading.Event | None = None
    ) -> BatchReport:
        """Handle what is due, until nothing is; with `limit`, at most so many messages."""
        outcomes = self._make_listener(queues).run(stop or threading.Event(), until_idle=True, limit=limit).take()
        by_status: Counter[str] = Counter()
        by_code: Counter[str] = Counter()
        for (_, _, status, code), messages in outcomes.items():
            by_status[status] += messages
            if code:
                by_code[code] += messages
        return BatchReport(sum(by_status.values()), dict(by_status), dict(by_code))

    def wait_for_dispatch(self, correlation_ids: Sequence[str], seconds: float) -> Awaited:
        """Wait until the exam system has these cases or a person must look at them; at most `seconds` (seed: 2 minutes).

        What becomes due meanwhile, such as a second attempt, is handled here: there may be no listener.
        """
        deadline = time.monotonic() + seconds
        while True:
            awaited = self._awaited(correlation_ids)
            if not awaited.waiting or time.monotonic() >= deadline:
                return awaited
            time.sleep(LOOK_EVERY_SECONDS)
            self.run_batch(request_reader.QUEUES)

    def _awaited(self, correlation_ids: Sequence[str]) -> Awaited:
        found = (
            case
            for part in in_parts(correlation_ids)
            for case in self._cases.find({"correlationId": {"$in": part}}, {"state": 1, "setAside": 1})
        )
        outcome_counts: Counter[str] = Counter()
        for case in found:
            state = case.get("state")
            if case.get("setAside") and state in OPEN:
                outcome_counts["set_aside"] += 1
            elif state == CaseState.REQUESTED:
                outcome_counts["waiting"] += 1
            elif state == CaseState.WITHDRAWN:
                outcome_counts["withdrawn"] += 1
            else:
                outcome_counts["dispatched"] += 1
        return Awaited(
            outcome_counts["dispatched"],
            outcome_counts["set_aside"],
            outcome_counts["waiting"],
            outcome_counts["withdrawn"],
        )
