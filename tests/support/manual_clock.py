"""Clocks that tests move by hand: one for dates and one for monotonic seconds."""

from datetime import UTC, datetime, timedelta


class ManualClock:
    def __init__(self) -> None:
        self._now = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def pass_time(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class ManualSeconds:
    """A monotonic clock that moves only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        """Move the clock instead of waiting. The wait is never interrupted."""
        assert seconds > 0
        self.now += seconds
        return False
