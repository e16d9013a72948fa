"""Time is the database server's time, whatever the host's clock says."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from casebridge import clock as clock_module
from casebridge.clock import ServerClock


def test_the_servers_time_counts_even_when_the_host_is_an_hour_wrong() -> None:
    servers = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    clock = ServerClock(lambda: servers)
    assert timedelta() <= clock.now() - servers < timedelta(seconds=10)


def test_a_naive_answer_is_utc_and_milliseconds_are_enough() -> None:
    clock = ServerClock(lambda: datetime(2026, 1, 8, 9, 0, 0, 123456))  # noqa: DTZ001 as some drivers give it
    assert clock.now().tzinfo is UTC
    assert clock.now().microsecond % 1000 == 0


def test_the_clock_goes_on_when_the_server_does_not_answer() -> None:
    answers = iter([datetime(2026, 1, 8, 9, 0, tzinfo=UTC)])
    clock = ServerClock(lambda: next(answers), resync=timedelta())
    first = clock.now()
    assert clock.now() >= first


def test_a_server_that_was_never_reached_is_an_error() -> None:
    def away() -> datetime:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        ServerClock(away).now()


class DelayedServer:
    """A server with the right time, whose answers are delayed on their way back, in the time of `monotonic`."""

    START = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *delays: float) -> None:
        self.seconds = 100.0
        self.delays = list(delays)
        monkeypatch.setattr(clock_module, "time", SimpleNamespace(monotonic=lambda: self.seconds))

    @property
    def right_time(self) -> datetime:
        return self.START + timedelta(seconds=self.seconds)

    def answer(self) -> datetime:
        said = self.right_time
        self.seconds += self.delays.pop(0)
        return said


def test_a_delayed_answer_does_not_make_the_clock_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow clock would write leases that end too early for everybody else."""
    server = DelayedServer(monkeypatch, 5.0, 0.01)
    clock = ServerClock(server.answer)
    assert abs(clock.now() - server.right_time) <= timedelta(milliseconds=10)
    assert server.delays == []


def test_the_quickest_of_several_answers_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    server = DelayedServer(monkeypatch, 3.0, 0.5, 0.4, 2.0, 9.0)
    clock = ServerClock(server.answer)
    assert abs(clock.now() - server.right_time) <= timedelta(milliseconds=210)


def test_a_server_that_goes_away_while_it_is_asked_again_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    server = DelayedServer(monkeypatch, 0.0, 7.0)  # the third question gets no answer
    clock = ServerClock(server.answer, resync=timedelta(minutes=1))
    clock.now()
    server.seconds += 61
    assert clock.now() == server.right_time
