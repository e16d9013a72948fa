"""The limit of a vendor's rates, with a manual clock: waiting moves the clock and takes no time."""

import threading
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebridge.errors import RateLimitedError
from resources.http.rate_limit import LONGEST_HOLD, LONGEST_WAIT, WAIT_AFTER_429, RateLimit, retry_after
from tests.support.manual_clock import ManualSeconds

SECOND = timedelta(seconds=1)


def gate(time: ManualSeconds, *rates: tuple[int, float]) -> RateLimit:
    return RateLimit("WISEflow", rates, monotonic=time.monotonic, wait=time.wait)


def test_a_burst_within_the_rate_does_not_wait() -> None:
    time = ManualSeconds()
    limited = gate(time, (200, 1.0), (5000, 60.0))
    for _ in range(200):
        limited.pass_gate()
    assert time.now == 1000.0
    limited.pass_gate()
    assert time.now > 1001.0 - 0.001


@given(st.integers(1, 20), st.integers(1, 60), st.lists(st.floats(0, 0.7), max_size=60))
def test_no_window_has_more_calls_than_its_rate(second: int, minute: int, pauses: list[float]) -> None:
    time = ManualSeconds()
    rates = [(second, 1.0), (minute, 60.0)]
    limited = gate(time, *rates)
    passed: list[float] = []
    for pause in pauses:
        time.now += pause
        try:
            limited.pass_gate()
        except RateLimitedError as error:
            time.now += (error.retry_after or timedelta(0)).total_seconds()
            limited.pass_gate()
        passed.append(time.now)
    for limit, seconds in rates:
        for start, begun in enumerate(passed):
            assert sum(begun <= moment < begun + seconds - 0.002 for moment in passed[start:]) <= limit


def test_a_wait_of_more_than_five_seconds_frees_the_worker() -> None:
    time = ManualSeconds()
    limited = gate(time, (5, 60.0))
    for _ in range(5):
        limited.pass_gate()
    with pytest.raises(RateLimitedError) as caught:
        limited.pass_gate()
    assert time.now == 1000.0
    assert caught.value.code == "wiseflow.rate_limited"
    assert caught.value.retry_after is not None
    assert timedelta(seconds=59) < caught.value.retry_after <= timedelta(seconds=61)


@pytest.mark.parametrize(
    "rates", [[(200, 1.0), (100, 60.0)], [(1, 1.0), (5000, 60.0)], [(5, 1.0), (3, 1.0)], [(10, 1.0), (10, 60.0)]]
)
def test_rates_of_which_one_has_no_effect_are_accepted(rates: list[tuple[int, float]]) -> None:
    gate(ManualSeconds(), *rates).pass_gate()


def test_without_rates_only_the_other_end_closes_the_gate() -> None:
    time = ManualSeconds()
    limited = gate(time)
    for _ in range(10_000):
        limited.pass_gate()
    limited.observe(429, {"Retry-After": "2"})
    limited.pass_gate()
    assert time.now == pytest.approx(1002.0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "3"}, 3),
        ({"X-RateLimit-Second-Remaining": "0", "X-RateLimit-Second-Reset": "1"}, 1),
        (
            {
                "X-RateLimit-Second-Remaining": "0",
                "X-RateLimit-Second-Reset": "1",
                "X-RateLimit-Minute-Remaining": "0",
                "X-RateLimit-Minute-Reset": "4",
            },
            4,
        ),
        ({"RateLimit-Remaining": "0"}, 1),
        ({"RateLimit-Remaining": "1", "RateLimit-Reset": "3"}, 0),
        ({"Retry-After": "3"}, 0),
    ],
)
def test_a_good_answer_that_says_that_nothing_remains_closes_the_gate(headers: dict[str, str], seconds: int) -> None:
    time = ManualSeconds()
    limited = gate(time)
    assert limited.observe(200, headers) is None
    limited.pass_gate()
    assert time.now == pytest.approx(1000.0 + seconds)


def test_a_429_without_any_header_closes_the_gate_for_a_moment() -> None:
    time = ManualSeconds()
    limited = gate(time)
    assert limited.observe(429, {}) == WAIT_AFTER_429
    limited.pass_gate()
    assert time.now == pytest.approx(1000.0 + WAIT_AFTER_429.total_seconds())


def test_a_shorter_wait_does_not_open_the_gate_early() -> None:
    time = ManualSeconds()
    limited = gate(time)
    limited.hold(timedelta(seconds=4))
    limited.hold(timedelta(seconds=1))
    limited.pass_gate()
    assert time.now == pytest.approx(1004.0)


def test_a_wait_of_days_is_shortened() -> None:
    limited = gate(ManualSeconds())
    limited.hold(timedelta(days=3))
    with pytest.raises(RateLimitedError) as caught:
        limited.pass_gate()
    assert caught.value.retry_after == LONGEST_HOLD


def test_closing_ends_all_waits_at_no_attempt() -> None:
    limited = RateLimit("WISEflow", [])
    limited.hold(LONGEST_WAIT - SECOND)
    caught: list[RateLimitedError] = []

    def call() -> None:
        try:
            limited.pass_gate()
        except RateLimitedError as error:
            caught.append(error)

    waiting = threading.Thread(target=call)
    waiting.start()
    limited.close()
    waiting.join(3.0)
    assert not waiting.is_alive()
    assert [error.code for error in caught] == ["wiseflow.interrupted"]


def test_many_threads_share_one_gate() -> None:
    limited = RateLimit("WISEflow", [(50, 1.0)])
    outcomes: list[bool] = []

    def call() -> None:
        for _ in range(10):
            limited.pass_gate()
            outcomes.append(True)

    threads = [threading.Thread(target=call) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)
    assert len(outcomes) == 50


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Retry-After": "7"}, 7.0),
            ({"Retry-After": "0.5"}, 0.5),
            ({"Retry-After": "Sun, 22 Nov 2026 10:00:30 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
            ({"Retry-After": "Sun, 22 Nov 2026 09:00:00 GMT", "Date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0.0),
            ({"Retry-After": "soon", "RateLimit-Reset": "9"}, 9.0),
            ({"RateLimit-Reset": "9"}, 9.0),
            ({"X-RateLimit-Minute-Remaining": "0", "X-RateLimit-Minute-Reset": "40", "RateLimit-Reset": "1"}, 40.0),
            ({"Retry-After": "999999"}, 86_400.0),
        ],
    )
    def test_which_values_of_retry_after_are_understood(self, headers: dict[str, str], seconds: float) -> None:
        assert retry_after(headers) == timedelta(seconds=seconds)

    @given(st.text(max_size=20), st.text(max_size=20))
    def test_no_value_of_retry_after_raises(self, value: str, date: str) -> None:
        wait = retry_after({"Retry-After": value, "RateLimit-Reset": value, "Date": date})
        assert wait is None or timedelta(0) <= wait <= timedelta(days=1)
