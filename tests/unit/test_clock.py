"""Time is the server's; the host's clock may say what it likes."""

from datetime import UTC, datetime, timedelta

import pytest

from casebridge.clock import ServerClock


def test_the_servers_time_counts_even_when_the_host_is_an_hour_wrong() -> None:
    servers = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    clock = ServerClock(lambda: servers)
    assert timedelta() <= clock.now() - servers < timedelta(seconds=10)


def test_a_naive_answer_is_utc_and_milliseconds_are_enough() -> None:
    clock = ServerClock(lambda: datetime(2026, 1, 8, 9, 0, 0, 123456))  # noqa: DTZ001 as some drivers give it
    assert clock.now().tzinfo is UTC
    assert clock.now().microsecond % 1000 == 0


def test_time_goes_on_when_the_server_cannot_be_asked_again() -> None:
    answers = iter([datetime(2026, 1, 8, 9, 0, tzinfo=UTC)])
    clock = ServerClock(lambda: next(answers), resync=timedelta())
    first = clock.now()
    assert clock.now() >= first


def test_a_server_that_was_never_reached_is_an_error() -> None:
    def away() -> datetime:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        ServerClock(away).now()
