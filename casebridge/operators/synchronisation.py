"""The parts of a synchronisation: a poll, a batch of the queue, and waiting for the outcome.

The command line runs them for each source of each capability. Dagster's assets run them one by one. A listener may be running at
the same time: the process that claims a message first handles it.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from casebridge.institutions.institution import Institution
from casebridge.messaging.listener.listener import Listener
from casebridge.sources.polling import PollOutcome
from casebridge.sources.source import EVERYTHING_NEW, Awaited, PollRange, Source

CHECK_EVERY_SECONDS: Final = 0.25


@dataclass(frozen=True)
class PollReport:
    """The counts of one poll of all institutions. `failed` maps institutions to the codes of their errors."""

    institutions: int
    """Each exam system of an institution counts separately."""
    seen: int
    accepted: int
    known: int
    skipped: int
    failed: dict[str, str]
    counts: dict[str, int]
    correlation_ids: tuple[str, ...] = field(default=(), repr=False)

    @property
    def all_failed(self) -> bool:
        """Whether no institution could be read: an outage, not a poll that found nothing."""
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
    """The error codes by institution, or by tenant if several exam systems of an institution were polled."""
    polled = Counter(outcome.institution for outcome in outcomes)
    return {
        outcome.institution if polled[outcome.institution] == 1 else outcome.tenant: outcome.error.code
        for outcome in outcomes
        if outcome.error
    }


@dataclass(frozen=True)
class BatchReport:
    """The result of one batch: how many messages were handled, by status, and by code if they failed."""

    handled: int
    by_status: dict[str, int]
    by_code: dict[str, int]


class Synchronisation:
    """The parts of a synchronisation. Each may be run alone, repeated, and run twice at once."""

    def __init__(self, make_listener: Callable[[tuple[str, ...]], Listener]) -> None:
        self._make_listener = make_listener

    def poll(self, source: Source, institutions: Sequence[Institution], what: PollRange = EVERYTHING_NEW) -> PollReport:
        """Poll one source for these institutions."""
        return PollReport.of(source.poll(institutions, what))

    def run_batch(
        self, queues: tuple[str, ...] = (), *, limit: int | None = None, stop: threading.Event | None = None
    ) -> BatchReport:
        """Handle messages until none is due. With `limit`, at most that many."""
        outcomes = self._make_listener(queues).run(stop or threading.Event(), until_idle=True, limit=limit).take()
        by_status: Counter[str] = Counter()
        by_code: Counter[str] = Counter()
        for (_, _, status, code), messages in outcomes.items():
            by_status[status] += messages
            if code:
                by_code[code] += messages
        return BatchReport(sum(by_status.values()), dict(by_status), dict(by_code))

    def wait_for(self, source: Source, correlation_ids: Sequence[str], seconds: float) -> Awaited:
        """Wait until the other end has these cases, or a person must look at them. At most `seconds` (seed: 2 minutes).

        Messages that become due meanwhile, such as second attempts, are handled here: there may be no listener. Raises
        `ValueError` if the source does not say how far its cases have come.
        """
        if source.awaited is None:
            raise ValueError(f"nobody waits for what {source.name} finds")
        deadline = time.monotonic() + seconds
        while True:
            awaited = source.awaited(correlation_ids)
            if not awaited.waiting or time.monotonic() >= deadline:
                return awaited
            time.sleep(CHECK_EVERY_SECONDS)
            self.run_batch(source.queues)
