"""Decides which lanes are scanned next. An institution with 50,000 messages gets the same share of each claim as one with 3.

A lane is scanned

- when a notification says that something was put into it;
- when something in it falls due;
- else now and then, in case a notification was lost.

Lanes of paused institutions are left out without a query.
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
"""Messages of a lane in one claim while other lanes wait. Each lane costs one query; the other costs of a claim are shared."""
SEARCH_SECONDS: Final = 30.0
"""How often all lanes with messages are searched for, in case a notification was lost."""
WAITING_SECONDS: Final = 5.0
"""How often a lane is scanned whose messages all wait for something: another process may have changed their times."""
SOON_SECONDS: Final = 1.0
"""When a lane that was just emptied is scanned again: messages behind one in work may be free by then."""
RACE_SECONDS: Final = 0.01
"""Shortest wait before a lane is scanned again for messages that another worker was faster to claim."""


@dataclass
class _ScheduledScan:
    scan: LaneScan
    scan_at: float = 0.0
    """When to scan it again, on the monotonic clock."""


class LaneScheduler:
    """One process's view of the lanes. Thread-safe. Changes of other processes are seen within half a minute."""

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
        """Claim up to `room` messages from the lanes that are to be scanned. Each lane gets an equal share.

        `passing_over` are the keys of tenants, and of whole institutions, that are not served now.
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
                self._scan_now([lane])  # the claimed messages are returned all the same
            except Exception as error:  # noqa: BLE001 one lane's document must not stop the scans of the others
                log_defect(error)
                self._scan_after(lane, WAITING_SECONDS)
        return messages

    def notify(self, lanes: Iterable[Lane]) -> None:
        """Scan these lanes soon: they may have something due."""
        ours = self._scan_now(lanes)
        with self._lock:
            for lane in ours:
                if lane.exam_system is None:
                    # Earlier versions notify like this. They may mean any exam system of the institution, also a new one.
                    self._search_at = float("-inf")
                    for other, scheduled in self._lanes.items():
                        if lane.covers(other):
                            scheduled.scan_at = float("-inf")

    def scan_at_time(self, lane: Lane, due: datetime) -> None:
        """Scan the lane at the time `due`, because something in it falls due then."""
        self._scan_after(lane, (due - self._clock.now()).total_seconds())

    def scan_all(self) -> None:
        """Scan all lanes, and search for lanes that are not known yet. For when notifications may have been missed."""
        self._search_at = float("-inf")
        with self._lock:
            for scheduled in self._lanes.values():
                scheduled.scan_at = float("-inf")

    def seconds_to_wait(self, passing_over: Collection[str]) -> float:
        """The seconds until some lane is to be scanned, unless a notification comes before."""
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
        """Scan those of the lanes next that this process serves, and return them.

        Unlike in `notify`, a lane without an exam system starts no search.
        """
        with self._lock:
            ours = [lane for lane in lanes if self._is_ours(lane)]
            for lane in ours:
                self._scheduled(lane).scan_at = float("-inf")
        return ours

    def _is_ours(self, lane: Lane) -> bool:
        return (not self._queues or lane.queue in self._queues) and self._queue.lanes.serves(lane)

    def _next(self, passing_over: Collection[str], limit: int) -> list[Lane]:
        """The lanes to scan now, the longest waiting first. They are moved to the end of the order."""
        now = self._monotonic()
        with self._lock:
            ready = [
                lane
                for lane, scheduled in self._lanes.items()
                if scheduled.scan_at <= now and not lane.is_among(passing_over)
            ][:limit]
            for lane in ready:
                self._lanes[lane] = self._lanes.pop(lane)
                # A notification during the claim sets an earlier time.
                self._lanes[lane].scan_at = float("inf")
        return ready

    def _scanned(self, lane: Lane) -> None:
        """Set the next scan: at once if more is due than was asked for, else when the lane's next message falls due."""
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
