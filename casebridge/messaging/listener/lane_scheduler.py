"""Whose turn it is: one process's round through the lanes, so that an institution with 50,000 messages starves none with 3.

A lane is looked into when it was rung, when something in it falls due, and else now and then in case a ring was lost. Lanes of
paused institutions are passed over without a question to the database.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pymongo.errors import PyMongoError

from casebridge.clock import Clock
from casebridge.defect import log_defect
from casebridge.messaging.queue.claims import LaneScan
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Message

SHARE: Final = 16
"""Messages of a lane in one claim while others wait: a lane costs a look of its own, the rest of a claim's cost is shared."""
SEARCH_SECONDS: Final = 30.0
"""How often all lanes with messages are searched for, in case a ring was lost."""
WAITING_SECONDS: Final = 5.0
"""How often a lane is looked into whose messages all wait for something: another process may have changed when."""
SOON_SECONDS: Final = 1.0
"""After so long a lane that was just emptied is looked into again: those behind one in work may be free by then."""
RACE_SECONDS: Final = 0.01
"""Shortest wait for what is due and was not ours to take: another worker was faster."""


@dataclass
class _State:
    scan: LaneScan
    scan_at: float = 0.0
    """When to look into it again, on the monotonic clock."""


class LaneScheduler:
    """One process's view of the lanes. Thread-safe; wrong only in what it has not heard of yet, and never for long."""

    def __init__(
        self,
        queue: MeldingQ,
        clock: Clock,
        queues: Sequence[str] = (),
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`queues` limits the round to the lanes of some queues."""
        self._queue = queue
        self._clock = clock
        self._queues = frozenset(queues)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._lanes: dict[Lane, _State] = {}
        self._search_at = float("-inf")

    def take(self, owner: str, room: int, passing_over: Collection[str]) -> list[Message]:
        """Claim up to `room` messages from the lanes whose turn it is; each gets an equal share of it.

        `passing_over` are tenants, and institutions as a whole, that are not served now.
        """
        self._search_if_due()
        lanes = self._next(passing_over, max(1, room // SHARE))
        if not lanes:
            return []
        try:
            messages = self._queue.claim(owner, room, [self._lanes[lane].scan for lane in lanes])
        except BaseException:
            self._scan_now(lanes)
            raise
        for lane in lanes:
            try:
                self._scanned(lane)
            except PyMongoError:
                self._scan_now([lane])  # what was claimed is in hand all the same
            except Exception as error:  # noqa: BLE001 nor must one lane's document keep the others from their turn
                log_defect(error)
                self._scan_after(lane, WAITING_SECONDS)
        return messages

    def notify(self, lanes: Iterable[Lane]) -> None:
        """These lanes were rung: they may have something due."""
        ours = self._scan_now(lanes)
        with self._lock:
            for lane in ours:
                if lane.exam_system is None:
                    # As earlier versions ring: any exam system of the institution may be meant, also one not heard of yet.
                    self._search_at = float("-inf")
                    for other, state in self._lanes.items():
                        if lane.covers(other):
                            state.scan_at = float("-inf")

    def scan_at_time(self, lane: Lane, due: datetime) -> None:
        """Something in this lane falls due then."""
        self._scan_after(lane, (due - self._clock.now()).total_seconds())

    def scan_all(self) -> None:
        """Rings may have been missed: look everywhere, also for lanes that nobody rang."""
        self._search_at = float("-inf")
        with self._lock:
            for state in self._lanes.values():
                state.scan_at = float("-inf")

    def seconds_to_wait(self, passing_over: Collection[str]) -> float:
        """How long until some lane is to be looked into, if nobody rings before."""
        with self._lock:
            moments = [state.scan_at for lane, state in self._lanes.items() if not lane.is_among(passing_over)]
        return max(0.0, min([self._search_at, *moments]) - self._monotonic())

    def _state(self, lane: Lane) -> _State:
        return self._lanes.setdefault(lane, _State(LaneScan(lane)))

    def _search_if_due(self) -> None:
        if self._monotonic() < self._search_at:
            return
        found = self._queue.lanes.search()
        self._search_at = self._monotonic() + SEARCH_SECONDS
        self._scan_now(sorted(found, key=str))

    def _scan_now(self, lanes: Iterable[Lane]) -> list[Lane]:
        """Look into those that are served here next. No ring: a lane without an exam system has nothing searched for."""
        with self._lock:
            ours = [lane for lane in lanes if self._is_ours(lane)]
            for lane in ours:
                self._state(lane).scan_at = float("-inf")
        return ours

    def _is_ours(self, lane: Lane) -> bool:
        return (not self._queues or lane.queue in self._queues) and self._queue.lanes.serves(lane)

    def _next(self, passing_over: Collection[str], limit: int) -> list[Lane]:
        """The lanes to look into now, in the order in which they waited; those taken go to the end of the round."""
        now = self._monotonic()
        with self._lock:
            ready = [
                lane for lane, state in self._lanes.items() if state.scan_at <= now and not lane.is_among(passing_over)
            ][:limit]
            for lane in ready:
                self._lanes[lane] = self._lanes.pop(lane)
                # A ring while the claim is on its way shows as an earlier time.
                self._lanes[lane].scan_at = float("inf")
        return ready

    def _scanned(self, lane: Lane) -> None:
        """Look again at once where more was due than was asked for; else when the next message there falls due."""
        scan = self._lanes[lane].scan
        if not scan.drained:
            self._scan_now([lane])
        elif scan.seen:
            self._scan_after(lane, SOON_SECONDS)
        elif (due := self._queue.next_due(lane)) is not None:
            self._scan_after(lane, min(WAITING_SECONDS, (due - self._clock.now()).total_seconds()))

    def _scan_after(self, lane: Lane, seconds: float) -> None:
        with self._lock:
            state = self._state(lane)
            state.scan_at = min(state.scan_at, self._monotonic() + max(RACE_SECONDS, seconds))
