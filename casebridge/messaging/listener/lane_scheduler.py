"""Which lanes are scanned next: an institution with 50,000 messages gets the same share of each claim as one with 3.

A lane is scanned

- when somebody has notified that something was put into it;
- when something in it falls due;
- else now and then, in case a notification was lost.

Lanes of paused institutions are passed over without a query.
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
from casebridge.messaging.queue.lane_scan import LaneScan
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Message

SHARE: Final = 16
"""Messages of a lane in one claim while others wait: each lane costs a query of its own, the rest of a claim's cost is shared."""
SEARCH_SECONDS: Final = 30.0
"""How often all lanes with messages are searched for, in case a notification was lost."""
WAITING_SECONDS: Final = 5.0
"""How often a lane is scanned whose messages all wait for something: another process may have changed their times."""
SOON_SECONDS: Final = 1.0
"""After so long a lane that was just emptied is scanned again: messages behind one in work may be free by then."""
RACE_SECONDS: Final = 0.01
"""Shortest wait for what is due and could not be claimed: another worker was faster."""


@dataclass
class _ScheduledScan:
    scan: LaneScan
    scan_at: float = 0.0
    """When to scan it again, on the monotonic clock."""


class LaneScheduler:
    """One process's view of the lanes. Thread-safe. What other processes changed is seen after half a minute at the latest."""

    def __init__(
        self,
        queue: MeldingQ,
        clock: Clock,
        queues: Sequence[str] = (),
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`queues` limits the claims to the lanes of some queues."""
        self._queue = queue
        self._clock = clock
        self._queues = frozenset(queues)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._lanes: dict[Lane, _ScheduledScan] = {}
        self._search_at = float("-inf")

    def take(self, owner: str, room: int, passing_over: Collection[str]) -> list[Message]:
        """Claim up to `room` messages from the lanes that are to be scanned; each gets an equal share of it.

        `passing_over` are the keys of tenants, and of institutions as a whole, that are not served now.
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
                self._scan_now([lane])  # what was claimed is held all the same
            except Exception as error:  # noqa: BLE001 nor must one lane's document keep the others from their scan
                log_defect(error)
                self._scan_after(lane, WAITING_SECONDS)
        return messages

    def notify(self, lanes: Iterable[Lane]) -> None:
        """These lanes may have something due."""
        ours = self._scan_now(lanes)
        with self._lock:
            for lane in ours:
                if lane.exam_system is None:
                    # As earlier versions notify: any exam system of the institution may be meant, also one not known here yet.
                    self._search_at = float("-inf")
                    for other, scheduled in self._lanes.items():
                        if lane.covers(other):
                            scheduled.scan_at = float("-inf")

    def scan_at_time(self, lane: Lane, due: datetime) -> None:
        """Something in this lane falls due then."""
        self._scan_after(lane, (due - self._clock.now()).total_seconds())

    def scan_all(self) -> None:
        """Notifications may have been missed: scan everything, and search for lanes of which nobody has notified."""
        self._search_at = float("-inf")
        with self._lock:
            for scheduled in self._lanes.values():
                scheduled.scan_at = float("-inf")

    def seconds_to_wait(self, passing_over: Collection[str]) -> float:
        """How long until some lane is to be scanned, if nobody notifies before."""
        with self._lock:
            moments = [scheduled.scan_at for lane, scheduled in self._lanes.items() if not lane.is_among(passing_over)]
        return max(0.0, min([self._search_at, *moments]) - self._monotonic())

    def _scheduled(self, lane: Lane) -> _ScheduledScan:
        return self._lanes.setdefault(lane, _ScheduledScan(LaneScan(lane)))

    def _search_if_due(self) -> None:
        if self._monotonic() < self._search_at:
            return
        found = self._queue.lanes.search()
        self._search_at = self._monotonic() + SEARCH_SECONDS
        self._scan_now(sorted(found, key=str))

    def _scan_now(self, lanes: Iterable[Lane]) -> list[Lane]:
        """Scan those that are served here next. Unlike `notify`: a lane that names no exam system starts no search."""
        with self._lock:
            ours = [lane for lane in lanes if self._is_ours(lane)]
            for lane in ours:
                self._scheduled(lane).scan_at = float("-inf")
        return ours

    def _is_ours(self, lane: Lane) -> bool:
        return (not self._queues or lane.queue in self._queues) and self._queue.lanes.serves(lane)

    def _next(self, passing_over: Collection[str], limit: int) -> list[Lane]:
        """The lanes to scan now, in the order in which they waited; those taken go to the end."""
        now = self._monotonic()
        with self._lock:
            ready = [
                lane
                for lane, scheduled in self._lanes.items()
                if scheduled.scan_at <= now and not lane.is_among(passing_over)
            ][:limit]
            for lane in ready:
                self._lanes[lane] = self._lanes.pop(lane)
                # A notification while the claim is on its way shows as an earlier time.
                self._lanes[lane].scan_at = float("inf")
        return ready

    def _scanned(self, lane: Lane) -> None:
        """Scan again at once where more was due than was asked for; else when the next message there falls due."""
        scan = self._lanes[lane].scan
        if not scan.drained:
            self._scan_now([lane])
        elif scan.seen:
            self._scan_after(lane, SOON_SECONDS)
        elif (due := self._queue.next_due(lane)) is not None:
            self._scan_after(lane, min(WAITING_SECONDS, (due - self._clock.now()).total_seconds()))

    def _scan_after(self, lane: Lane, seconds: float) -> None:
        with self._lock:
            scheduled = self._scheduled(lane)
            scheduled.scan_at = min(scheduled.scan_at, self._monotonic() + max(RACE_SECONDS, seconds))
