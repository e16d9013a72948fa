"""Delivers pending effects in a thread of its own: first those of this process, now and then those that others left behind."""

import threading
import time
from collections import deque
from collections.abc import Iterable

from casebridge.messaging.listener import intervals
from casebridge.messaging.listener.helper_threads import attempt
from casebridge.messaging.outbox.pending_effects import PendingEffects
from casebridge.messaging.outbox.relay import Relay


class DeliveryLoop:
    """Thread-safe: one thread adds, one delivers."""

    def __init__(self, relay: Relay, ended: threading.Event) -> None:
        self._relay = relay
        self._ended = ended
        self._pending: deque[PendingEffects] = deque()
        self._looked_around_at = float("-inf")
        self._added = threading.Event()

    def add(self, pending: Iterable[PendingEffects]) -> None:
        """Effects of messages that this process has settled."""
        self._pending.extend(pending)
        self._added.set()

    def wake(self) -> None:
        """For the end: the thread that waits sees that it is there."""
        self._added.set()

    def run(self) -> None:
        """Deliver until the listener ends."""
        self._added.set()  # what was added before is delivered, too
        while not self._ended.is_set():
            self._added.wait(intervals.LOOK_AROUND_SECONDS)
            self._added.clear()
            if not attempt(self._deliver):
                self._ended.wait(intervals.AWAY_SECONDS)

    def deliver_rest(self) -> None:
        """What this process settled is delivered before it goes, as far as the channels take it."""
        self._looked_around_at = float("-inf")
        attempt(self._deliver)
        attempt(self._relay.send_alerts)

    def _deliver(self) -> None:
        while self._pending:
            self._relay.deliver(self._pending[0])
            self._pending.popleft()
            self._look_around()
        self._look_around()

    def _look_around(self) -> None:
        if time.monotonic() - self._looked_around_at > intervals.LOOK_AROUND_SECONDS:
            self._looked_around_at = time.monotonic()
            self._relay.deliver_left_behind()
