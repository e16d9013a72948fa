"""Watches the lanes for what other processes put into them, at the lowest price that the server allows.

- A change stream where there is one (MongoDB, the embedded server). A change is seen within milliseconds, and no change costs
  nothing.
- Elsewhere (DocumentDB) the few lanes are read again and again, less often the longer nothing changes.
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
"""How long the server holds a question to which it has no answer yet."""
EARLY_SECONDS: Final = 0.03
"""An answer without news after less than this was no awaited one."""
EARLY_ANSWERS: Final = 8
"""So many early answers in a row are no single event's writes any more, but load: then the next question waits as long."""
SHORTEST_PAUSE: Final = 0.02


class LaneWatcher:
    """Runs in a thread of its own until `stop`. `missed` is called whenever changes may have been missed."""

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
        """Watch until `stop` is set; a database that is away is waited for."""
        watch = self._follow
        while not stop.is_set():
            try:
                watch(stop)
            except OperationFailure:
                if watch == self._poll:
                    logger.info("lanes of other processes: they cannot be read")
                    stop.wait(intervals.AWAY_SECONDS)
                # It has no change streams, or refuses them to this user.
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
                    # Some servers answer at every write to anything: under load that would be a question for each.
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
        """The lanes that were notified since they were read last."""
        notified = []
        for document in documents:
            for lane in _lane(document["_id"]):
                if self._notified_at.get(lane) != document.get("wokenAt"):
                    self._notified_at[lane] = document.get("wokenAt")
                    notified.append(lane)
        return notified


def _lane(name: object) -> list[Lane]:
    """None, if another program's document stands among the lanes."""
    return [Lane.of(name)] if isinstance(name, dict) else []
