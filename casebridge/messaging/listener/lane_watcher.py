"""Watches the lanes for what other processes put into them, in the cheapest way that the server allows.

- A change stream, where there is one (MongoDB, the embedded server). A change is seen within milliseconds. While nothing changes,
  this costs nothing.
- Elsewhere (DocumentDB) the few lanes are read again and again: the longer nothing changes, the less often.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from pymongo.errors import OperationFailure, PyMongoError

from casebridge.database import Document
from casebridge.messaging.listener import intervals
from casebridge.messaging.queue.lanes import Lane, Lanes

logger = logging.getLogger(__name__)

AWAIT_MILLISECONDS: Final = 1000
"""How long the server waits for a change before it answers that there is none."""
EARLY_SECONDS: Final = 0.03
"""An answer without a change counts as early if it comes after less than this."""
EARLY_ANSWERS: Final = 8
"""More early answers in a row mean load, not the writes of one event. Then the next read waits for `EARLY_SECONDS`."""
SHORTEST_PAUSE: Final = 0.02


class LaneWatcher:
    """Runs in its own thread until `stop`. `missed` is called whenever changes may have been missed."""

    def __init__(
        self,
        lanes: Lanes,
        notify: Callable[[Iterable[Lane]], None],
        missed: Callable[[], None],
        longest_pause: float,
    ) -> None:
        self._lanes = lanes
        self._notify = notify
        self._missed = missed
        self._longest_pause = longest_pause
        self._notified_at: dict[Lane, object] = {}

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set. While the database is away, wait and try again."""
        watch = self._follow
        while not stop.is_set():
            try:
                watch(stop)
            except OperationFailure:
                if watch == self._poll:
                    logger.info("lanes of other processes: they cannot be read")
                    stop.wait(intervals.AWAY_SECONDS)
                # The server has no change streams, or refuses them to this user.
                watch = self._poll
            except PyMongoError as error:
                logger.info("lanes of other processes: the database is away (%s)", type(error).__name__)
                stop.wait(intervals.AWAY_SECONDS)

    def _follow(self, stop: threading.Event) -> None:
        with self._lanes.collection.watch(max_await_time_ms=AWAIT_MILLISECONDS) as changes:
            self._missed()
            early = 0
            while changes.alive and not stop.is_set():
                asked_at = time.monotonic()
                change = changes.try_next()
                if change and "documentKey" in change:
                    self._notify(_lane(change["documentKey"]["_id"]))
                    continue
                early = early + 1 if time.monotonic() - asked_at < EARLY_SECONDS else 0
                if early > EARLY_ANSWERS:
                    # Some servers answer at every write to any collection. Under load each write would cost a read here.
                    stop.wait(EARLY_SECONDS)

    def _poll(self, stop: threading.Event) -> None:
        self._missed()
        self._notified(self._lanes.read())
        pause = SHORTEST_PAUSE
        while not stop.wait(pause):
            notified = self._notified(self._lanes.read())
            if notified:
                self._notify(notified)
            pause = SHORTEST_PAUSE if notified else min(pause * 1.5, self._longest_pause)

    def _notified(self, documents: Iterable[Document]) -> list[Lane]:
        """The lanes that were notified since the last read."""
        notified = []
        for document in documents:
            for lane in _lane(document["_id"]):
                if self._notified_at.get(lane) != document.get("wokenAt"):
                    self._notified_at[lane] = document.get("wokenAt")
                    notified.append(lane)
        return notified


def _lane(name: object) -> list[Lane]:
    """The lane of this id; an empty list for a document of another program."""
    return [Lane.of(name)] if isinstance(name, dict) else []
