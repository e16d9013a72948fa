"""A process that reads FS and WISEflow as the sensors do, again and again, until SIGTERM.

Two of them run side by side, and both are killed like the other processes. Only the loop belongs to the soak.
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
"""Each time, a quarter of the institutions is also polled for changes of answers that FS already has."""


def poll(bridge: Bridge, turn: int) -> None:
    """Read FS and poll WISEflow once."""
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
                continue  # nothing is skipped: the watermark has not moved
            turn += 1


if __name__ == "__main__":
    main()
