"""A process that feeds the inbox as the sensors do: FS and WISEflow, again and again, until SIGTERM.

Two of them run side by side, and both are killed like everything else. Only the loop is the soak's own.
"""

import signal
import threading
from typing import Final

from pymongo.errors import PyMongoError

from casebridge.institutions.institution import Institution
from command_line.process import bridge_of_this_process
from resources.wiring.bridge import Bridge

EVERY_SECONDS: Final = 0.3
TURNS: Final = 4
"""Answers that FS has already are looked at for changes as well, a quarter of the institutions each time."""


def poll(bridge: Bridge, turn: int) -> None:
    """One look at FS and at WISEflow."""
    institutions = bridge.institutions.active()
    bridge.synchronisation.read_requests(institutions)
    watched: list[Institution] = institutions[turn % TURNS :: TURNS]
    bridge.synchronisation.poll_answers([one for one in institutions if one not in watched])
    bridge.synchronisation.poll_answers(watched, also_answered=True)


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stop.set())
    with bridge_of_this_process() as bridge:
        turn = 0
        while not stop.wait(EVERY_SECONDS):
            try:
                poll(bridge, turn)
            except PyMongoError:
                continue  # nothing was skipped: the watermark stands where it stood
            turn += 1


if __name__ == "__main__":
    main()
