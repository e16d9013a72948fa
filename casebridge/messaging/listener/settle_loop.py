"""Settles the results of the workers in batches, in its own thread. While the database is away the results wait here."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.messaging.listener import intervals
from casebridge.messaging.listener.helper_threads import attempt as succeeds
from casebridge.messaging.listener.settler import Settler
from casebridge.messaging.listener.worker import AttemptResult
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Message
from casebridge.messaging.queue.outcome import Outcome
from casebridge.settings import QueueSettings

logger = logging.getLogger(__name__)


class SettleLoop:
    """Thread-safe: workers add, one thread settles."""

    def __init__(
        self,
        queue: MeldingQ,
        settler: Settler,
        settings: QueueSettings,
        on_settled: Callable[[Iterable[Message], Iterable[Outcome]], None],
        ended: threading.Event,
    ) -> None:
        """`on_settled` is called with messages that this process holds no longer, and their outcomes."""
        self._queue = queue
        self._settler = settler
        self._group_size = settings.group_size
        self._lease_seconds = settings.lease_seconds
        self._retry_base = timedelta(seconds=settings.retry_base_seconds)
        self._on_settled = on_settled
        self._ended = ended
        self._lock = threading.Lock()
        self._handled: list[AttemptResult] = []
        self._given_back: list[AttemptResult] = []
        self._refused: tuple[float, BaseException] | None = None
        """Since when the database has taken no settlement, and its error."""
        self._added = threading.Event()

    def add(self, attempt: AttemptResult) -> None:
        """Add the result of a worker."""
        with self._lock:
            (self._given_back if attempt.given_back else self._handled).append(attempt)
        self._added.set()

    def wake(self) -> None:
        """Wake the waiting thread, so that it sees that the listener has ended."""
        self._added.set()

    def run(self) -> None:
        """Settle until the listener ends."""
        self._added.set()  # results that were added before are settled, too
        while not self._ended.is_set():
            self._added.wait(intervals.HOUSEKEEPING_SECONDS if self._given_back else None)
            self._added.clear()
            while batch := self._next_batch():
                if not self._settle(batch):
                    self._ended.wait(intervals.AWAY_SECONDS)
            if self._given_back and not succeeds(self._give_back):
                self._ended.wait(intervals.AWAY_SECONDS)

    def raise_if_refused(self) -> None:
        """Raise the database's error if it has taken no settlement for longer than a lease."""
        if self._refused and time.monotonic() - self._refused[0] > self._lease_seconds:
            raise self._refused[1]

    def _give_back(self) -> None:
        """Give back the messages whose steps the database did not take. They are due again later, and keep their attempt."""
        with self._lock:
            batch = list(self._given_back)
        messages = [attempt.message for attempt in batch]
        self._queue.release(messages, self._retry_base)
        with self._lock:
            del self._given_back[: len(batch)]
        self._on_settled(messages, [Outcome(message, None) for message in messages])

    def _next_batch(self) -> list[AttemptResult]:
        with self._lock:
            batch, self._handled = self._handled[: self._group_size], self._handled[self._group_size :]
        return batch

    def _settle(self, batch: list[AttemptResult]) -> bool:
        """Settle the batch. Returns `False` if the database is away. Then the batch waits here, as long as its leases last."""
        try:
            outcomes = self._settler.settle(batch)
        except BaseException as error:  # noqa: BLE001 one message's defect must not stop the others, or end this thread
            if is_away(error):
                return self._keep(batch, error)
            log_defect(error)
            if len(batch) > 1:
                singly = [self._settle([attempt]) for attempt in batch]
                return all(singly)
            try:
                outcomes = [self._settler.settle_defective(batch[0], error)]
            except BaseException as worse:  # noqa: BLE001
                if is_away(worse):
                    return self._keep(batch, worse)
                log_defect(worse)
                logger.warning("case %s: not settled, left to its lease", batch[0].message.safe_id)
                outcomes = [Outcome(batch[0].message, None)]
        self._refused = None
        self._on_settled([attempt.message for attempt in batch], outcomes)
        return True

    def _keep(self, batch: list[AttemptResult], error: BaseException) -> bool:
        """Keep the batch for later: the database takes nothing now, which is no message's fault."""
        logger.warning("the database is away (%s): settling again soon", type(error).__name__)
        self._refused = self._refused or (time.monotonic(), error)
        with self._lock:
            if not self._ended.is_set():
                self._handled = [*batch, *self._handled]
        return False
