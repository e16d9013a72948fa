"""Counts what a listener did, for reports."""

import threading
from collections import Counter
from dataclasses import dataclass, field

from casebridge.messaging.queue.outcome import Outcome
from casebridge.telemetry import observer


@dataclass
class OutcomeCounts:
    """How many outcomes there were, by queue, institution, status and code."""

    outcomes: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, outcome: Outcome) -> None:
        observer().outcome(outcome)
        status = outcome.status.value if outcome.status else "left"
        with self._lock:
            self.outcomes[outcome.message.queue, outcome.message.institution, status, outcome.code or ""] += 1

    def take(self) -> Counter[tuple[str, str, str, str]]:
        """The counts since the last call."""
        with self._lock:
            taken, self.outcomes = self.outcomes, Counter()
            return taken
