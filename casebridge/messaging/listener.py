"""The long-lived process that takes a message at once, and the same code run on a batch by Dagster.

Threads: one claims, `workers` handle, one keeps leases, one delivers owed effects, one takes care of pauses. Nothing here
knows what the messages are about.
"""

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from pymongo.errors import PyMongoError

from casebridge.defect import log_defect
from casebridge.messaging.meldingq import MeldingQ
from casebridge.messaging.message import Message
from casebridge.messaging.pauses import Pauses
from casebridge.messaging.relay import GROUP, Relay
from casebridge.messaging.worker import Outcome, Worker
from casebridge.settings import QueueSettings

logger = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.01
AWAY_PAUSE: Final = 0.5
LOOK_AROUND_SECONDS: Final = 1.0
"""How often the relay looks for effects that other processes left behind."""
PREFETCH: Final = 4
"""Claimed messages per worker: enough that a claim's cost is shared, few enough that another process finds work."""


@dataclass
class Tally:
    """What a listener did: outcomes by queue, institution, status and code."""

    outcomes: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, outcome: Outcome) -> None:
        status = outcome.status.value if outcome.status else "left"
        with self._lock:
            self.outcomes[outcome.queue, outcome.institution, status, outcome.code or ""] += 1

    def take(self) -> Counter[tuple[str, str, str, str]]:
        """What was added since the last call."""
        with self._lock:
            taken, self.outcomes = self.outcomes, Counter()
            return taken


class Listener:
    """Claims and handles messages until stopped, or until nothing is due."""

    def __init__(
        self,
        queue: MeldingQ,
        worker: Worker,
        relay: Relay,
        pauses: Pauses,
        settings: QueueSettings,
        care: Callable[[], None],
        *,
        queues: tuple[str, ...] = (),
        turns: tuple[str, ...] = (),
    ) -> None:
        """`queues` limits the listener to some queues; without it, those in `turns` come first, one after the other."""
        self.owner = uuid.uuid4().hex
        self.tally = Tally()
        self._queue = queue
        self._worker = worker
        self._relay = relay
        self._pauses = pauses
        self._settings = settings
        self._care = care
        self._queues = queues
        self._turns = turns
        self._lock = threading.Lock()
        self._in_work: dict[str, Message] = {}
        self._settled: list[str] = []
        self._looked_around_at = 0.0
        self._wake = threading.Event()
        self._ended = threading.Event()

    def run(self, stop: threading.Event, *, until_idle: bool = False, limit: int | None = None) -> Tally:
        """Work until `stop` is set; with `until_idle`, also end when nothing is due and nothing in work.

        `limit` bounds the number of messages. On return nothing is held: what was not begun is given back.
        """
        pool = ThreadPoolExecutor(self._settings.workers, thread_name_prefix="worker")
        helpers = [
            threading.Thread(target=self._repeat, args=(work, seconds), name=name, daemon=True)
            for name, work, seconds in (
                ("lease", self._keep_leases, self._settings.lease_seconds / 3),
                ("relay", self._deliver, 0.05),
                ("alerts", self._send_alerts, 1.0),
                ("care", self._care, 1.0),
            )
        ]
        # Before the first claim: a batch may be over before the helper's first round, and nobody else may be there to care.
        self._try(self._care)
        for helper in helpers:
            helper.start()
        futures: dict[Future[None], Message] = {}
        try:
            self._claim_until(stop, pool, futures, until_idle=until_idle, limit=limit)
        finally:
            self._shut_down(pool, futures)
            self._ended.set()
            for helper in helpers:
                helper.join(timeout=5.0)
            self._deliver_rest()
        return self.tally

    def _claim_until(
        self,
        stop: threading.Event,
        pool: ThreadPoolExecutor,
        futures: dict[Future[None], Message],
        *,
        until_idle: bool,
        limit: int | None,
    ) -> None:
        pause, claimed_so_far = FIRST_PAUSE, 0
        while not stop.is_set():
            for future in [future for future in futures if future.done()]:
                del futures[future]
            room = min(self._settings.group_size, self._settings.workers * PREFETCH - len(futures))
            if limit is not None:
                room = min(room, limit - claimed_so_far)
            messages, pause = self._claim(room, pause, patient=not until_idle)
            for message in messages:
                futures[pool.submit(self._handle, message)] = message
            claimed_so_far += len(messages)
            if messages:
                pause = FIRST_PAUSE
            elif until_idle and not futures and (room > 0 or claimed_so_far == limit):
                return
            self._wake.wait(pause)
            self._wake.clear()

    def _claim(self, room: int, pause: float, *, patient: bool) -> tuple[list[Message], float]:
        """Claim, or nothing; and how long to wait before the next look. Only a `patient` one waits for the database."""
        if room <= 0 or (room < self._settings.workers and self._in_work):
            return [], self._settings.idle_poll_seconds
        try:
            messages = self._claim_fairly(room)
        except PyMongoError as error:
            if not patient:
                raise
            logger.warning("the database is away (%s): claiming again soon", type(error).__name__)
            return [], AWAY_PAUSE
        with self._lock:
            self._in_work.update({message.key: message for message in messages})
        return messages, min(pause * 2, self._settings.idle_poll_seconds)

    def _claim_fairly(self, room: int) -> list[Message]:
        """From the queue whose turn it is, then whatever is due: a crowd on the way there does not hold up the way back."""
        paused = self._pauses.paused()
        if self._queues or not self._turns:
            return self._queue.claim(self.owner, room, passing_over=paused, queues=self._queues)
        self._turns = (*self._turns[1:], self._turns[0])
        first = self._queue.claim(self.owner, room, passing_over=paused, queues=self._turns[:1])
        if len(first) == room:
            return first
        return first + self._queue.claim(self.owner, room - len(first), passing_over=paused)

    def _handle(self, message: Message) -> None:
        try:
            outcome = self._worker.handle(message)
            self.tally.add(outcome)
        finally:
            with self._lock:
                self._in_work.pop(message.key, None)
                self._settled.append(message.key)
            self._wake.set()

    def _keep_leases(self) -> None:
        with self._lock:
            keys = list(self._in_work)
        self._queue.keep(self.owner, keys)

    def _deliver(self) -> None:
        with self._lock:
            settled, self._settled = self._settled[:GROUP], self._settled[GROUP:]
        if settled:
            self._relay.deliver(settled)
        if time.monotonic() - self._looked_around_at > LOOK_AROUND_SECONDS:
            self._looked_around_at = time.monotonic()
            self._relay.deliver()

    def _send_alerts(self) -> None:
        self._relay.send_alerts()

    def _repeat(self, work: Callable[[], None], seconds: float) -> None:
        while not self._ended.wait(seconds):
            if not self._try(work):
                self._ended.wait(AWAY_PAUSE)

    def _try(self, work: Callable[[], None]) -> bool:
        """Whether a helper's work came to its end; what it left is done the next time, or by another process."""
        try:
            work()
        except PyMongoError as error:
            logger.warning("the database is away (%s)", type(error).__name__)
        except Exception as error:  # noqa: BLE001 a helper thread must outlive any defect
            log_defect(error)
        else:
            return True
        return False

    def _shut_down(self, pool: ThreadPoolExecutor, futures: dict[Future[None], Message]) -> None:
        """Finish what was begun, give back the rest."""
        unbegun = [message for future, message in futures.items() if future.cancel()]
        try:
            self._queue.release(unbegun)
        except PyMongoError as error:
            logger.warning("claimed messages wait for their lease to run out: %s", type(error).__name__)
        with self._lock:
            for message in unbegun:
                self._in_work.pop(message.key, None)
        deadline = time.monotonic() + self._settings.shutdown_seconds
        for future in futures:
            if not future.cancelled():
                try:
                    future.result(timeout=max(0.0, deadline - time.monotonic()))
                except TimeoutError:
                    logger.warning("a message in work was left to its lease at shutdown")
        pool.shutdown(wait=False, cancel_futures=True)

    def _deliver_rest(self) -> None:
        """What this process settled is delivered before it goes, as far as the channels take it."""
        self._looked_around_at = float("-inf")
        while self._try(self._deliver) and self._settled:
            pass
        self._try(self._send_alerts)
