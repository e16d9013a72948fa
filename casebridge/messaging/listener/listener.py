"""The long-lived process that takes a message at once, and the same code run on a batch by Dagster.

Threads: one claims and hands out, `workers` handle, one settles, one keeps leases, one delivers owed effects, one sends alerts,
one takes care of pauses, one hears the bell of other processes. Nothing here knows what the messages are about.
"""

import logging
import math
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from casebridge.database_faults import is_away
from casebridge.defect import log_away_or_defect, log_defect
from casebridge.institutions.pauses import Pauses
from casebridge.messaging.listener.claimed_buffer import ClaimedBuffer
from casebridge.messaging.listener.lane_scheduler import LaneScheduler
from casebridge.messaging.listener.lane_watcher import LaneWatcher
from casebridge.messaging.listener.outcome_counts import OutcomeCounts
from casebridge.messaging.listener.settler import Settled, Settler
from casebridge.messaging.listener.worker import AttemptResult, Worker
from casebridge.messaging.outbox.pending_effects import PendingEffects
from casebridge.messaging.outbox.relay import Relay
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Message
from casebridge.settings import QueueSettings
from casebridge.telemetry import observer

logger = logging.getLogger(__name__)

AWAY_PAUSE: Final = 0.5
"""Seconds until what the database did not take is tried again."""
LOOK_AROUND_SECONDS: Final = 1.0
"""How often the relay looks for effects that other processes left behind, the claims for institutions that were paused, and
the helpers for alerts and pauses that are due."""
PREFETCH: Final = 6
"""Claimed messages per worker: enough that a claim's cost is shared, few enough that another process finds work."""
SMALL_CREW: Final = 4
"""With fewer workers than this none is reserved: one institution may keep all of them busy."""


class Listener:
    """Claims and handles messages until stopped, or until nothing is due."""

    def __init__(
        self,
        queue: MeldingQ,
        scheduler: LaneScheduler,
        worker: Worker,
        settler: Settler,
        relay: Relay,
        pauses: Pauses,
        settings: QueueSettings,
        retry_paused_credentials: Callable[[], None],
    ) -> None:
        self.owner = uuid.uuid4().hex
        self.outcome_counts = OutcomeCounts()
        self._queue = queue
        self._scheduler = scheduler
        self._worker = worker
        self._settler = settler
        self._relay = relay
        self._pauses = pauses
        self._settings = settings
        self._retry_paused_credentials = retry_paused_credentials
        self._capacity = settings.workers * PREFETCH
        share = settings.institution_share if settings.workers >= SMALL_CREW else 1.0
        self._buffer = ClaimedBuffer(math.ceil(settings.workers * share))
        self._most_held = math.ceil(self._capacity * share)
        self._paused: frozenset[str] = frozenset()
        self._paused_read_at = float("-inf")
        self._lock = threading.Lock()
        self._held: dict[str, Message] = {}
        """Claimed and not settled: their leases are kept."""
        self._begun: Counter[str] = Counter()
        """Messages in the hands of a worker, by tenant."""
        self._handled: list[AttemptResult] = []
        self._given_back: list[AttemptResult] = []
        self._refused: tuple[float, BaseException] | None = None
        """Since when the database takes no settlement, and what it says."""
        self._pending_effects: deque[PendingEffects] = deque()
        self._looked_around_at = float("-inf")
        self._wake = threading.Event()
        self._to_settle = threading.Event()
        self._to_deliver = threading.Event()
        self._ended = threading.Event()

    def run(self, stop: threading.Event, *, until_idle: bool = False, limit: int | None = None) -> OutcomeCounts:
        """Work until `stop` is set; with `until_idle`, also end when nothing is due and nothing in work.

        `limit` bounds the number of messages. On return nothing is held: what was not begun is given back.
        """
        pool = ThreadPoolExecutor(self._settings.workers, thread_name_prefix="worker")
        # Before the first claim: a batch may be over before the helper's first round, and nobody else may be there to care.
        self._try(self._retry_paused_credentials)
        self._queue.subscribers.append(self._notified)
        helpers = self._helpers(patient=not until_idle)
        for helper in helpers:
            helper.start()
        try:
            self._claim_until(stop, pool, until_idle=until_idle, limit=limit)
        finally:
            self._shut_down(pool)
            self._queue.subscribers.remove(self._notified)
            self._ended.set()
            for signal in (self._to_settle, self._to_deliver):
                signal.set()
            for helper in helpers:
                helper.join(timeout=5.0)
            self._deliver_rest()
        return self.outcome_counts

    def _helpers(self, *, patient: bool) -> list[threading.Thread]:
        work: dict[str, Callable[[], None]] = {
            "settle": self._settle_until_ended,
            "relay": self._deliver_until_ended,
            "lease": lambda: self._repeat(self._keep_leases, self._settings.lease_seconds / 3),
            "alerts": lambda: self._repeat(self._relay.send_alerts, LOOK_AROUND_SECONDS),
            "care": lambda: self._repeat(self._retry_paused_credentials, LOOK_AROUND_SECONDS),
        }
        if patient:
            watcher = LaneWatcher(self._queue.lanes, self._notified, self._missed, self._settings.idle_poll_seconds)
            work["bell"] = lambda: watcher.run(self._ended)
        return [
            threading.Thread(target=self._until_ended, args=(name, target), name=name, daemon=True)
            for name, target in work.items()
        ]

    def _until_ended(self, name: str, work: Callable[[], None]) -> None:
        """A helper that a defect threw out of its loop begins anew: without it the process would live and do nothing."""
        while not self._ended.is_set():
            try:
                work()
            except BaseException as error:  # noqa: BLE001
                logger.warning("the helper %s broke off, and begins anew", name)
                log_defect(error)
                self._ended.wait(AWAY_PAUSE)
                for signal in (self._to_settle, self._to_deliver):
                    signal.set()  # what it was called for is still to be done

    # Claiming and handing out

    def _claim_until(
        self, stop: threading.Event, pool: ThreadPoolExecutor, *, until_idle: bool, limit: int | None
    ) -> None:
        claimed, sure = 0, False
        while not stop.is_set():
            self._hand_out(pool)
            room = self._room() if limit is None else min(self._room(), limit - claimed)
            messages, pause = self._claim(room, patient=not until_idle)
            with self._lock:
                self._buffer.add(messages)
            claimed += len(messages)
            if messages:
                sure = False
                continue
            if until_idle and self._refused and time.monotonic() - self._refused[0] > self._settings.lease_seconds:
                raise self._refused[1]  # a batch does not wait for the database for ever
            if until_idle and not self._held:
                if sure or claimed == limit:
                    return
                sure = True
                self._scheduler.scan_all()
                continue
            self._wake.wait(pause)
            self._wake.clear()

    def _hand_out(self, pool: ThreadPoolExecutor) -> None:
        """Give messages to the workers that are free."""
        while True:
            with self._lock:
                if self._begun.total() >= self._settings.workers:
                    return
                message = self._buffer.next(self._begun)
                if message is None:
                    return
                self._begun[message.tenant] += 1
            try:
                pool.submit(self._handle, message)
            except RuntimeError as error:
                # The host has no thread left: by now the message is in the pool's line, for a thread that there is.
                log_defect(error)

    def _room(self) -> int:
        """How many more to claim: nothing, while there is enough at hand that a claim would hardly pay."""
        with self._lock:
            room = min(self._settings.group_size, self._capacity - len(self._held_beside_others()))
            return 0 if len(self._buffer) > self._settings.workers else room

    def _claim(self, room: int, *, patient: bool) -> tuple[list[Message], float]:
        """Claim, or nothing; and how long to wait before the next look. Only a `patient` one waits for the database."""
        if room <= 0:
            return [], LOOK_AROUND_SECONDS
        try:
            passing_over = self._read_paused() | self._busy()
            messages = self._scheduler.take(self.owner, room, passing_over)
        except BaseException as error:  # a document that nobody expects must not end the process, nor the others' work
            if not patient:
                raise
            log_away_or_defect(logger, error, ": claiming again soon")
            return [], AWAY_PAUSE
        with self._lock:
            self._held.update({message.key: message for message in messages})
        observer().claimed(messages)
        self._worker.prefetch(messages)
        return messages, min(self._scheduler.seconds_to_wait(passing_over), LOOK_AROUND_SECONDS)

    def _read_paused(self) -> frozenset[str]:
        if time.monotonic() - self._paused_read_at > self._settings.idle_poll_seconds:
            self._paused = self._pauses.paused()
            self._paused_read_at = time.monotonic()
        return self._paused

    def _busy(self) -> set[str]:
        """Tenants that hold their share: the rest is kept free for the others."""
        with self._lock:
            held = Counter(message.tenant for message in self._held_beside_others())
        return {tenant for tenant, messages in held.items() if messages >= self._most_held}

    def _held_beside_others(self) -> list[Message]:
        """Without those that are to be run alone: after a kill these are many and wait long."""
        return [message for message in self._held.values() if not message.isolated]

    def _notified(self, lanes: Iterable[Lane]) -> None:
        self._scheduler.notify(lanes)
        self._wake.set()

    def _missed(self) -> None:
        self._scheduler.scan_all()
        self._wake.set()

    # Handling and settling

    def _handle(self, message: Message) -> None:
        attempt: AttemptResult | None = None
        try:
            attempt = self._worker.handle(message)
        finally:
            with self._lock:
                self._begun[message.tenant] -= 1
                self._buffer.ended(message)
                if attempt is None:
                    self._held.pop(message.key, None)
                elif attempt.given_back:
                    self._given_back.append(attempt)
                else:
                    self._handled.append(attempt)
            if attempt is None:
                self.outcome_counts.add(AttemptResult(message, None).outcome(None))
            self._to_settle.set()
            self._wake.set()

    def _settle_until_ended(self) -> None:
        while not self._ended.is_set():
            self._to_settle.wait(LOOK_AROUND_SECONDS if self._given_back else None)
            self._to_settle.clear()
            while batch := self._next_batch():
                if not self._settle(batch):
                    self._ended.wait(AWAY_PAUSE)
            if self._given_back and not self._try(self._give_back):
                self._ended.wait(AWAY_PAUSE)

    def _give_back(self) -> None:
        """What the database did not take the steps of: due again in a while, with its attempt, as soon as it takes that."""
        with self._lock:
            batch = list(self._given_back)
        self._queue.release(
            [attempt.message for attempt in batch], timedelta(seconds=self._settings.retry_base_seconds)
        )
        with self._lock:
            del self._given_back[: len(batch)]
        self._let_go(batch)
        for attempt in batch:
            self.outcome_counts.add(attempt.outcome(None))

    def _next_batch(self) -> list[AttemptResult]:
        with self._lock:
            size = self._settings.group_size
            batch, self._handled = self._handled[:size], self._handled[size:]
        return batch

    def _settle(self, batch: list[AttemptResult]) -> bool:
        """Whether it is known what became of the batch. While the database is away it waits, as long as its leases last."""
        try:
            settled = self._settler.settle(batch)
        except BaseException as error:  # noqa: BLE001 one message's defect must not hold up the others, nor end this thread
            if is_away(error):
                return self._wait_with(batch, error)
            log_defect(error)
            if len(batch) > 1:
                singly = [self._settle([attempt]) for attempt in batch]
                return all(singly)
            try:
                settled = self._settler.settle_defective(batch[0], error)
            except BaseException as worse:  # noqa: BLE001
                if is_away(worse):
                    return self._wait_with(batch, worse)
                log_defect(worse)
                logger.warning("case %s: not settled, left to its lease", batch[0].message.told_id)
                settled = Settled([batch[0].outcome(None)], [])
        self._refused = None
        self._let_go(batch)
        for outcome in settled.outcomes:
            self.outcome_counts.add(outcome)
            if outcome.due_at is not None:
                self._scheduler.scan_at_time(
                    Lane(outcome.institution, outcome.queue, outcome.exam_system), outcome.due_at
                )
        self._pending_effects.extend(settled.pending_effects)
        self._to_deliver.set()
        return True

    def _wait_with(self, batch: list[AttemptResult], error: BaseException) -> bool:
        """Keep what cannot be settled now: whatever the database does not take, no message is at fault."""
        logger.warning("the database is away (%s): settling again soon", type(error).__name__)
        self._refused = self._refused or (time.monotonic(), error)
        with self._lock:
            if not self._ended.is_set():
                self._handled = [*batch, *self._handled]
        return False

    def _let_go(self, batch: Iterable[AttemptResult]) -> None:
        with self._lock:
            for attempt in batch:
                self._held.pop(attempt.message.key, None)
        self._wake.set()

    # Helpers beside the work

    def _keep_leases(self) -> None:
        with self._lock:
            held = list(self._held.values())
        self._queue.keep(self.owner, held)

    def _deliver_until_ended(self) -> None:
        while not self._ended.is_set():
            self._to_deliver.wait(LOOK_AROUND_SECONDS)
            self._to_deliver.clear()
            if not self._try(self._deliver):
                self._ended.wait(AWAY_PAUSE)

    def _deliver(self) -> None:
        """What was settled here first, and now and then what others left behind."""
        while self._pending_effects:
            self._relay.deliver(self._pending_effects[0])
            self._pending_effects.popleft()
            self._look_around()
        self._look_around()

    def _look_around(self) -> None:
        if time.monotonic() - self._looked_around_at > LOOK_AROUND_SECONDS:
            self._looked_around_at = time.monotonic()
            self._relay.deliver_left_behind()

    def _repeat(self, work: Callable[[], object], seconds: float) -> None:
        while not self._ended.wait(seconds):
            if not self._try(work):
                self._ended.wait(AWAY_PAUSE)

    def _try(self, work: Callable[[], object]) -> bool:
        """Whether a helper's work came to its end; what it left is done the next time, or by another process."""
        try:
            work()
        except BaseException as error:  # noqa: BLE001 a helper thread must outlive any defect
            log_away_or_defect(logger, error)
        else:
            return True
        return False

    def _shut_down(self, pool: ThreadPoolExecutor) -> None:
        """Finish what was begun, give back the rest."""
        with self._lock:
            unbegun = self._buffer.take_all()
        if not self._try(lambda: self._queue.release(unbegun)):
            logger.warning("claimed messages wait for their lease to run out")
        with self._lock:
            for message in unbegun:
                self._held.pop(message.key, None)
        deadline = time.monotonic() + self._settings.shutdown_seconds
        while self._held:
            if time.monotonic() > deadline:
                logger.warning("%d messages in work were left to their leases at shutdown", len(self._held))
                for message in list(self._held.values()):
                    message.held_until = -math.inf  # their workers stop at the next step
                break
            self._wake.wait(max(0.0, deadline - time.monotonic()))
            self._wake.clear()
        pool.shutdown(wait=False, cancel_futures=True)

    def _deliver_rest(self) -> None:
        """What this process settled is delivered before it goes, as far as the channels take it."""
        self._looked_around_at = float("-inf")
        self._try(self._deliver)
        self._try(self._relay.send_alerts)
