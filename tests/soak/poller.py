"""A process that reads FS and WISEflow as the sensors do, again and again, until SIGTERM.

Two of them run side by side, and both are killed like the other processes. Only the loop belongs to the soak.
"""

import signal
import threading
from typing import Final

from pymongo.errors import PyMongoError

from casebridge.institutions.institution import Institution
from command_line.process import this_process, wait_for_storage
from resources.wiring.process import Process
from tests.support.explanation_rounds import poll_answers, read_requests

EVERY_SECONDS: Final = 0.3
TURNS: Final = 4
"""Each time, a quarter of the institutions is also polled for changes of answers that FS already has."""


def poll(process: Process, turn: int) -> None:
    """Read FS and poll WISEflow once."""
    institutions = process.stores.institutions.active()
    read_requests(process, institutions)
    watched: list[Institution] = institutions[turn % TURNS :: TURNS]
    poll_answers(process, [one for one in institutions if one not in watched])
    poll_answers(process, watched, also_answered=True)


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stop.set())
    with this_process(may_wait=True) as process:
        wait_for_storage(process, stop)
        turn = 0
        while not stop.wait(EVERY_SECONDS):
            try:
                poll(process, turn)
            except PyMongoError:
                continue  # nothing is skipped: the watermark has not moved
            turn += 1


if __name__ == "__main__":
    main()
