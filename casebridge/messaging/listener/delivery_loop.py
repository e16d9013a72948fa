"""Delivers pending effects in its own thread: those of this process first, and now and then those that others left behind."""

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
        self._left_behind_delivered_at = float("-inf")
        self._added = threading.Event()

    def add(self, pending: Iterable[PendingEffects]) -> None:
        """Add effects of messages that this process has settled."""
        self._pending.extend(pending)
        self._added.set()

    def wake(self) -> None:
        """Wake the waiting thread, so that it sees that the listener has ended."""
        self._added.set()

    def run(self) -> None:
        """Deliver until the listener ends."""
        self._added.set()  # effects that were added before are delivered, too
        while not self._ended.is_set():
            self._added.wait(intervals.HOUSEKEEPING_SECONDS)
            self._added.clear()
            if not attempt(self._deliver):
                self._ended.wait(intervals.AWAY_SECONDS)

    def deliver_rest(self) -> None:
        """Deliver the rest before the process ends, as far as the channels take it."""
        self._left_behind_delivered_at = float("-inf")
        attempt(self._deliver)
        attempt(self._relay.send_alerts)

    def _deliver(self) -> None:
        while self._pending:
            self._relay.deliver(self._pending[0])
            self._pending.popleft()
            self._deliver_left_behind()
        self._deliver_left_behind()

    def _deliver_left_behind(self) -> None:
        if time.monotonic() - self._left_behind_delivered_at > intervals.HOUSEKEEPING_SECONDS:
            self._left_behind_delivered_at = time.monotonic()
            self._relay.deliver_left_behind()
