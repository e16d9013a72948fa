"""One round of the demo: it releases the requests in FS, watches them, and ends when all of them are finished."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from casebridge.operators.status import Status, StatusReader
from demo.platform import Platform
from resources.wiring.process import Process

WAVES: Final = 10
SECONDS_BETWEEN_WAVES: Final = 2.0
CHECK_EVERY_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 300.0


@dataclass(frozen=True)
class Picture:
    """How far the round is: the counts of the simulators, and casebridge's own status."""

    seconds: float
    simulators: dict[str, Any]
    ours: Status

    @property
    def set_aside(self) -> int:
        return sum(self.ours.set_aside.values())

    @property
    def lost(self) -> int:
        """The requests in FS that are neither registered nor set aside for a person."""
        return int(self.simulators["requests"] - self.simulators["registered"] - self.set_aside)


class Round:
    """Releases the requests in waves, and watches until all of them are finished."""

    def __init__(self, platform: Platform, process: Process, started_at: float, requests: int) -> None:
        self._control = platform.control
        self._status: StatusReader = process.operators.status
        self._started_at = started_at
        self._requests = requests

    def run(self, show: Callable[[Picture], None]) -> Picture:
        """Return the last picture: all requests are finished, or the time is over."""
        wave = max(1, -(-self._requests // WAVES))
        released, next_wave = 0, time.monotonic()
        deadline = time.monotonic() + LONGEST_SECONDS
        while True:
            if released < self._requests and time.monotonic() >= next_wave:
                released += self._control.release(wave)["released"]
                next_wave += SECONDS_BETWEEN_WAVES
            picture = self.take_picture()
            show(picture)
            if self._is_over(picture) or time.monotonic() > deadline:
                return picture
            time.sleep(CHECK_EVERY_SECONDS)

    def take_picture(self) -> Picture:
        return Picture(time.monotonic() - self._started_at, self._control.summary(), self._status.read())

    def _is_over(self, picture: Picture) -> bool:
        """Whether every request is finished and all alerts are sent."""
        return (
            picture.simulators["requests"] == self._requests
            and picture.lost == 0
            and picture.ours.pending == 0
            and picture.ours.alerts_owed == 0
        )
