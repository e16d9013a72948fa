"""The threads beside the workers. Each does one kind of work until the listener ends, and goes on after any error."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from casebridge.defect import log_away_or_defect, log_defect
from casebridge.messaging.listener import intervals

logger = logging.getLogger(__name__)

JOIN_SECONDS: Final = 5.0


class HelperThreads:
    """Started once, and joined when `ended` is set."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, work: Mapping[str, Callable[[], None]]) -> None:
        """Start a thread for each kind of work, with its name."""
        for name, target in work.items():
            thread = threading.Thread(target=self.until_ended, args=(name, target), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def join(self) -> None:
        """Wait a few seconds for each thread to end."""
        for thread in self._threads:
            thread.join(timeout=JOIN_SECONDS)

    def until_ended(self, name: str, work: Callable[[], None]) -> None:
        """Run the work, and start it again if a defect ends it: without this work the process would live and do nothing."""
        while not self.ended.is_set():
            try:
                work()
            except BaseException as error:  # noqa: BLE001
                logger.warning("the helper %s failed and starts again", name)
                log_defect(error)
                self.ended.wait(intervals.AWAY_SECONDS)

    def repeat(self, work: Callable[[], object], seconds: float) -> None:
        """Do the work every `seconds` seconds until the end."""
        while not self.ended.wait(seconds):
            if not attempt(work):
                self.ended.wait(intervals.AWAY_SECONDS)


def attempt(work: Callable[[], object]) -> bool:
    """Do the work. Returns whether it succeeded. Work that was left is done the next time, or by another process."""
    try:
        work()
    except BaseException as error:  # noqa: BLE001 no defect may end a helper thread
        log_away_or_defect(logger, error)
    else:
        return True
    return False
