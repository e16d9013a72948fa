"""Claims due messages and hands them to the workers, until it is stopped or nothing is due."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from logging import getLogger

from casebridge.defect import log_away_or_defect, log_defect
from casebridge.institutions.pauses import Pauses
from casebridge.messaging.listener import intervals
from casebridge.messaging.listener.held_messages import HeldMessages
from casebridge.messaging.listener.lane_scheduler import LaneScheduler
from casebridge.messaging.listener.worker import Worker
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.message import Message
from casebridge.settings import QueueSettings
from casebridge.telemetry import observer

logger = getLogger(__name__)


class ClaimLoop:
    """Runs in the thread that called `Listener.run`."""

    def __init__(
        self,
        owner: str,
        scheduler: LaneScheduler,
        worker: Worker,
        pauses: Pauses,
        held: HeldMessages,
        settings: QueueSettings,
        raise_if_refused: Callable[[], None],
    ) -> None:
        """`raise_if_refused` raises the database's error if it has taken no settlement for longer than a lease."""
        self._owner = owner
        self._scheduler = scheduler
        self._worker = worker
        self._pauses = pauses
        self._held = held
        self._idle_poll_seconds = settings.idle_poll_seconds
        self._raise_if_refused = raise_if_refused
        self._paused: frozenset[str] = frozenset()
        self._paused_read_at = float("-inf")
        self._changed = threading.Event()

    def run(
        self,
        stop: threading.Event,
        pool: Executor,
        handle: Callable[[Message], None],
        *,
        until_idle: bool,
        limit: int | None,
    ) -> None:
        """Claim and hand out until `stop` is set; with `until_idle`, also end when nothing is due and nothing is held."""
        claimed, is_searched = 0, False
        while not stop.is_set():
            self._hand_out(pool, handle)
            room = self._held.room() if limit is None else min(self._held.room(), limit - claimed)
            messages, wait = self._claim(room, patient=not until_idle)
            self._held.offer(messages)
            claimed += len(messages)
            if messages:
                is_searched = False
                continue
            if until_idle:
                self._raise_if_refused()  # a batch does not wait for the database for ever
                if not len(self._held):
                    if is_searched or claimed == limit:
                        return
                    is_searched = True
                    self._scheduler.scan_all()
                    continue
            self.wait(wait)

    def wait(self, seconds: float) -> None:
        """Wait for a change: a message was put into a lane, a worker is free, or a message is settled."""
        self._changed.wait(seconds)
        self._changed.clear()

    def wake(self) -> None:
        """End `wait`, because something has changed. Called by other threads."""
        self._changed.set()

    def notify(self, lanes: Iterable[Lane]) -> None:
        """Scan these lanes: something was put into them."""
        self._scheduler.notify(lanes)
        self.wake()

    def scan_all(self) -> None:
        """Scan all lanes, because notifications may have been missed."""
        self._scheduler.scan_all()
        self.wake()

    def _hand_out(self, pool: Executor, handle: Callable[[Message], None]) -> None:
        """Give messages to the workers that are free."""
        while (message := self._held.begin()) is not None:
            try:
                pool.submit(handle, message)
            except RuntimeError as error:
                # The host has no thread left. The message is in the pool's queue, and one of the pool's threads will take it.
                log_defect(error)

    def _claim(self, room: int, *, patient: bool) -> tuple[list[Message], float]:
        """Claim messages. Returns them, and how many seconds to wait before the next try.

        While the database is away, a `patient` call returns nothing; another one raises the error.
        """
        if room <= 0:
            return [], intervals.HOUSEKEEPING_SECONDS
        try:
            passing_over = self._read_paused() | self._held.busy_tenants()
            messages = self._scheduler.take(self._owner, room, passing_over)
        except BaseException as error:  # an unexpected document must not end the process, or the work on others
            if not patient:
                raise
            log_away_or_defect(logger, error, ": claiming again soon")
            return [], intervals.AWAY_SECONDS
        self._held.hold(messages)
        observer().claimed(messages)
        self._worker.prefetch(messages)
        return messages, min(self._scheduler.seconds_to_wait(passing_over), intervals.HOUSEKEEPING_SECONDS)

    def _read_paused(self) -> frozenset[str]:
        if time.monotonic() - self._paused_read_at > self._idle_poll_seconds:
            self._paused = self._pauses.paused()
            self._paused_read_at = time.monotonic()
        return self._paused
