"""Settles what the workers hand over, in batches, in a thread of its own. While the database is away the results wait here."""

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
        """`on_settled` is given messages that this process holds no longer, and their outcomes."""
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
        """Since when the database takes no settlement, and what it says."""
        self._added = threading.Event()

    def add(self, attempt: AttemptResult) -> None:
        """A worker has handled a message."""
        with self._lock:
            (self._given_back if attempt.given_back else self._handled).append(attempt)
        self._added.set()

    def wake(self) -> None:
        """For the end: the thread that waits sees that it is there."""
        self._added.set()

    def run(self) -> None:
        """Settle until the listener ends."""
        self._added.set()  # what was added before is settled, too
        while not self._ended.is_set():
            self._added.wait(intervals.LOOK_AROUND_SECONDS if self._given_back else None)
            self._added.clear()
            while batch := self._next_batch():
                if not self._settle(batch):
                    self._ended.wait(intervals.AWAY_SECONDS)
            if self._given_back and not succeeds(self._give_back):
                self._ended.wait(intervals.AWAY_SECONDS)

    def raise_if_refused(self) -> None:
        """Raise what the database says, if it has taken no settlement for longer than a lease."""
        if self._refused and time.monotonic() - self._refused[0] > self._lease_seconds:
            raise self._refused[1]

    def _give_back(self) -> None:
        """What the database did not take the steps of: due again in a while, with its attempt, as soon as it takes that."""
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
        """Whether it is known what became of the batch. While the database is away it waits, as long as its leases last."""
        try:
            outcomes = self._settler.settle(batch)
        except BaseException as error:  # noqa: BLE001 one message's defect must not hold up the others, nor end this thread
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
        """Keep what cannot be settled now: whatever the database does not take, no message is at fault."""
        logger.warning("the database is away (%s): settling again soon", type(error).__name__)
        self._refused = self._refused or (time.monotonic(), error)
        with self._lock:
            if not self._ended.is_set():
                self._handled = [*batch, *self._handled]
        return False
