"""A running clock that tests move forward, for waits of minutes and days that no test can make."""

from datetime import datetime, timedelta

from casebridge.clock import Clock


class ShiftedClock:
    def __init__(self, clock: Clock, shift: timedelta = timedelta()) -> None:
        self._clock = clock
        self._shift = shift

    def now(self) -> datetime:
        return self._clock.now() + self._shift

    def pass_time(self, shift: timedelta) -> None:
        self._shift += shift
