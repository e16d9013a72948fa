"""WISEflow's rate limit: 200 calls a second and 5000 a minute for each credential set (contract 4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from simulators.process import RunningSimulators, running
from simulators.rate_limit import RateLimit
from tests.support.simulator_callers import session, wiseflow_of

pytestmark = pytest.mark.contract

NOON = 1_767_866_400.0
MOST_CALLS = 6_000
"""More calls than the limit of a minute allows, so that a slow machine reaches that limit if not the one of a second."""


@pytest.fixture(scope="module")
def simulators() -> Iterator[RunningSimulators]:
    with running() as started:
        yield started


def take(limit: RateLimit, calls: int, at: float) -> int:
    return sum(limit.take(at).allowed for _ in range(calls))


def test_a_second_allows_two_hundred_and_the_next_one_again() -> None:
    limit = RateLimit()
    assert take(limit, 250, NOON + 0.5) == 200
    assert take(limit, 250, NOON + 1.0) == 200


def test_a_minute_allows_five_thousand_and_the_next_one_again() -> None:
    limit = RateLimit()
    assert sum(take(limit, 100, NOON + second) for second in range(60)) == 5_000
    assert take(limit, 100, NOON + 60) == 100


def test_a_refusal_says_when_to_call_again() -> None:
    limit = RateLimit()
    take(limit, 200, NOON + 0.2)
    headers = limit.take(NOON + 0.2).headers
    assert headers["Retry-After"] == "1"
    assert (headers["RateLimit-Limit"], headers["RateLimit-Remaining"], headers["RateLimit-Reset"]) == ("200", "0", "1")
    assert headers["X-RateLimit-Minute-Remaining"] == "4799"


def test_the_refusal_distinguishes_a_used_up_minute_from_a_used_up_second() -> None:
    limit = RateLimit()
    for second in range(25):
        take(limit, 200, NOON + second)
    refused = limit.take(NOON + 30)
    assert not refused.allowed
    assert refused.headers["Retry-After"] == "30"
    assert refused.headers["RateLimit-Limit"] == "5000"


def test_each_credential_set_has_a_limit_of_its_own(simulators: RunningSimulators) -> None:
    world: dict[str, Any] = simulators.control.population(institutions=4, courses=4, requests=8)
    greedy, modest = (wiseflow_of(simulators, world["institutions"][place]) for place in (0, 3))
    credentials = greedy.credentials()
    refused: list[Mapping[str, str]] = []

    def hammer(calls: int) -> None:
        with session() as http:
            for _ in range(calls):
                answer = http.get(f"{greedy.address}/flow/1", headers=credentials, timeout=20)
                if answer.status_code == 429:
                    refused.append(answer.headers)
                if refused:
                    return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hammer, [MOST_CALLS // 4] * 4))
    assert refused
    assert refused[0]["RateLimit-Remaining"] == "0"
    assert int(refused[0]["Retry-After"]) >= 1
    assert modest.call("GET", "/flow/1").status_code == 404
