"""One round of the demo: let the requests appear in FS, watch them travel, and say when all have reached their end."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from casebridge.operators.status import Status, StatusReader
from demo.platform import Platform
from resources.wiring.process import Process

WAVES: Final = 10
SECONDS_BETWEEN_WAVES: Final = 2.0
LOOK_EVERY_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 300.0


@dataclass(frozen=True)
class Picture:
    """How far the round is: what the simulators counted, and what we say of ourselves."""

    seconds: float
    simulators: dict[str, Any]
    ours: Status

    @property
    def set_aside(self) -> int:
        return sum(self.ours.set_aside.values())

    @property
    def lost(self) -> int:
        """What FS holds, less what is registered, less what waits for a person."""
        return int(self.simulators["requests"] - self.simulators["registered"] - self.set_aside)


class Round:
    """Feeds waves of requests and looks until every one has reached its end."""

    def __init__(self, platform: Platform, process: Process, started_at: float, requests: int) -> None:
        self._control = platform.control
        self._status: StatusReader = process.operators.status
        self._started_at = started_at
        self._requests = requests

    def run(self, show: Callable[[Picture], None]) -> Picture:
        """Returns the last picture: all at their end, or the time is up."""
        wave = max(1, -(-self._requests // WAVES))
        released, next_wave = 0, time.monotonic()
        deadline = time.monotonic() + LONGEST_SECONDS
        while True:
            if released < self._requests and time.monotonic() >= next_wave:
                released += self._control.release(wave)["released"]
                next_wave += SECONDS_BETWEEN_WAVES
            picture = self.look()
            show(picture)
            if self._is_over(picture) or time.monotonic() > deadline:
                return picture
            time.sleep(LOOK_EVERY_SECONDS)

    def look(self) -> Picture:
        return Picture(time.monotonic() - self._started_at, self._control.summary(), self._status.read())

    def _is_over(self, picture: Picture) -> bool:
        """Every request has its end, and everybody who must know has been told."""
        return (
            picture.simulators["requests"] == self._requests
            and picture.lost == 0
            and picture.ours.pending == 0
            and picture.ours.alerts_owed == 0
        )
