"""The listener: a process that runs all the time and takes a message at once. Dagster runs the same code on a batch.

Its threads:

- The caller's thread claims messages and hands them out (`claim_loop`).
- The workers run the flows (`worker`).
- One thread settles (`settle_loop`).
- One delivers pending effects (`delivery_loop`).
- One renews leases, one sends alerts, and one tries the credentials of paused institutions again.
- One watches the lanes for what other processes put into them (`lane_watcher`).

Nothing here knows the content of the messages.
"""

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor

from casebridge.institutions.pauses import Pauses
from casebridge.messaging.listener import intervals
from casebridge.messaging.listener.claim_loop import ClaimLoop
from casebridge.messaging.listener.delivery_loop import DeliveryLoop
from casebridge.messaging.listener.held_messages import HeldMessages
from casebridge.messaging.listener.helper_threads import HelperThreads, attempt
from casebridge.messaging.listener.lane_scheduler import LaneScheduler
from casebridge.messaging.listener.lane_watcher import LaneWatcher
from casebridge.messaging.listener.outcome_counts import OutcomeCounts
from casebridge.messaging.listener.settle_loop import SettleLoop
from casebridge.messaging.listener.settler import Settler
from casebridge.messaging.listener.worker import AttemptResult, Worker
from casebridge.messaging.outbox.relay import Relay
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Message
from casebridge.messaging.queue.outcome import Outcome
from casebridge.settings import QueueSettings

logger = logging.getLogger(__name__)


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
        owner: str | None = None,
    ) -> None:
        """`owner` is the name under which messages are claimed and their leases renewed; a random one without it."""
        self.owner = owner or uuid.uuid4().hex
        self.outcome_counts = OutcomeCounts()
        self._queue = queue
        self._scheduler = scheduler
        self._worker = worker
        self._relay = relay
        self._settings = settings
        self._retry_paused_credentials = retry_paused_credentials
        self._held = HeldMessages(settings)
        self._helpers = HelperThreads()
        self._settling = SettleLoop(queue, settler, settings, self._settled, self._helpers.ended)
        self._deliveries = DeliveryLoop(relay, self._helpers.ended)
        self._claims = ClaimLoop(
            self.owner, scheduler, worker, pauses, self._held, settings, self._settling.raise_if_refused
        )

    def run(self, stop: threading.Event, *, until_idle: bool = False, limit: int | None = None) -> OutcomeCounts:
        """Work until `stop` is set; with `until_idle`, also end when nothing is due and nothing is in work.

        `limit` bounds the number of messages. On return this process holds no message: those not begun are given back.
        """
        pool = ThreadPoolExecutor(self._settings.workers, thread_name_prefix="worker")
        # Before the first claim: a batch may end before the helper's first round, and perhaps no other process runs.
        attempt(self._retry_paused_credentials)
        self._queue.subscribers.append(self._claims.notify)
        self._helpers.start(self.helper_work(patient=not until_idle))
        try:
            self._claims.run(stop, pool, self._handle, until_idle=until_idle, limit=limit)
        finally:
            self._shut_down(pool)
            self._queue.subscribers.remove(self._claims.notify)
            self._helpers.ended.set()
            self._settling.wake()
            self._deliveries.wake()
            self._helpers.join()
            self._deliveries.deliver_rest()
        return self.outcome_counts

    def helper_work(self, *, patient: bool) -> dict[str, Callable[[], None]]:
        """The work of the helper threads, by name. Only a `patient` listener watches what other processes put into lanes."""
        repeat = self._helpers.repeat
        work: dict[str, Callable[[], None]] = {
            "settle": self._settling.run,
            "deliver": self._deliveries.run,
            "leases": lambda: repeat(self._keep_leases, self._settings.lease_seconds / 3),
            "alerts": lambda: repeat(self._relay.send_alerts, intervals.HOUSEKEEPING_SECONDS),
            "credentials": lambda: repeat(self._retry_paused_credentials, intervals.HOUSEKEEPING_SECONDS),
        }
        if patient:
            watcher = LaneWatcher(
                self._queue.lanes, self._claims.notify, self._claims.scan_all, self._settings.idle_poll_seconds
            )
            work["lanes"] = lambda: watcher.run(self._helpers.ended)
        return work

    def _handle(self, message: Message) -> None:
        """Handle one message, in a worker's thread."""
        result: AttemptResult | None = None
        try:
            result = self._worker.handle(message)
        finally:
            self._held.ended(message)
            if result is None:  # another worker holds it by now
                self._settled([message], [Outcome(message, None)])
            else:
                self._settling.add(result)
            self._claims.wake()

    def _settled(self, messages: Iterable[Message], outcomes: Iterable[Outcome]) -> None:
        """Drop these messages, count their outcomes, and hand their effects to the delivery loop."""
        self._held.drop(messages)
        outcomes = list(outcomes)
        for outcome in outcomes:
            self.outcome_counts.add(outcome)
            if outcome.due_at is not None:
                self._scheduler.scan_at_time(Lane.of(outcome.message.stored), outcome.due_at)
        self._deliveries.add([outcome.pending_effects for outcome in outcomes if outcome.pending_effects])
        self._claims.wake()

    def _keep_leases(self) -> None:
        self._queue.keep(self.owner, self._held.all())

    def _shut_down(self, pool: Executor) -> None:
        """Give back the messages that were not begun, and wait for the others."""
        waiting = self._held.take_waiting()
        if not attempt(lambda: self._queue.release(waiting)):
            logger.warning("claimed messages wait for their lease to run out")
        self._held.drop(waiting)
        deadline = time.monotonic() + self._settings.shutdown_seconds
        while len(self._held):
            if time.monotonic() > deadline:
                left = self._held.all()
                logger.warning("%d messages in work were left to their leases at shutdown", len(left))
                for message in left:
                    message.held_until = -math.inf  # their workers stop at the next step
                break
            self._claims.wait(max(0.0, deadline - time.monotonic()))
        pool.shutdown(wait=False, cancel_futures=True)
