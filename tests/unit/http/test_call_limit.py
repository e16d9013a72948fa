"""The limit of calls at the same time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from casebridge.errors import RateLimitedError
from resources.http.call_limit import COME_BACK_AFTER, CallLimit


def test_no_more_calls_run_at_once_than_the_limit_allows() -> None:
    limit, everybody_is_in = CallLimit("FS", 3), threading.Barrier(3)

    def call() -> None:
        with limit.place():
            everybody_is_in.wait(5.0)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: call(), range(3)))


def test_a_call_that_waits_too_long_is_retried_later_at_no_cost() -> None:
    limit = CallLimit("FS", 1, longest_wait=timedelta(milliseconds=10))
    with limit.place(), pytest.raises(RateLimitedError) as caught, limit.place():
        pass
    assert (caught.value.code, caught.value.retry_after) == ("fs.busy", COME_BACK_AFTER)


def test_the_limit_of_all_systems_names_none() -> None:
    limit = CallLimit(None, 1, longest_wait=timedelta(0))
    with limit.place(), pytest.raises(RateLimitedError, match="outside systems are under way") as caught, limit.place():
        pass
    assert (caught.value.code, caught.value.system) == ("casebridge.busy", None)


def test_a_failed_call_frees_its_place() -> None:
    limit = CallLimit("FS", 1, longest_wait=timedelta(0))
    with pytest.raises(ValueError, match="the call failed"), limit.place():
        raise ValueError("the call failed")
    with limit.place():
        pass
