"""A cache that many threads share: one load for each key, bounded in time and weight."""

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebridge.errors import TransientError
from resources.short_cache import ShortCache


def failure() -> TransientError:
    return TransientError("wiseflow.http_503", "down", "wait")


def test_a_value_is_loaded_once_while_it_is_usable() -> None:
    now = [0.0]
    cache: ShortCache[str, int] = ShortCache(lambda _: 10.0, 5, monotonic=lambda: now[0])
    loads = iter(range(10))
    assert [cache.get("a", lambda: next(loads)).value for _ in range(3)] == [0, 0, 0]
    now[0] = 9.9
    assert cache.get("a", lambda: next(loads)).value == 0
    now[0] = 10.0
    assert cache.get("a", lambda: next(loads)).value == 1


def test_a_value_may_set_its_own_lifetime() -> None:
    now = [0.0]
    cache: ShortCache[str, float] = ShortCache(lambda value: value, 5, monotonic=lambda: now[0])
    cache.get("a", lambda: 2.0)
    now[0] = 2.5
    assert cache.get("a", lambda: 7.0).value == 7.0


def test_a_failure_is_not_kept() -> None:
    cache: ShortCache[str, int] = ShortCache(lambda _: 10.0, 5)

    def fails() -> int:
        raise failure()

    with pytest.raises(TransientError):
        cache.get("a", fails)
    assert cache.get("a", lambda: 3).value == 3


@pytest.mark.parametrize("fails", [False, True])
def test_threads_that_ask_at_once_share_one_load_and_its_outcome(fails: bool) -> None:
    cache: ShortCache[str, int] = ShortCache(lambda _: 10.0, 5)
    together = threading.Barrier(8)
    release, loads = threading.Event(), []

    def load() -> int:
        loads.append(1)
        assert release.wait(10)
        if fails:
            raise failure()
        return 42

    def ask() -> object:
        together.wait(10)
        try:
            return cache.get("a", load).value
        except TransientError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask) for _ in range(8)]
        while together.n_waiting or not loads:
            # all threads wait here; one of them loads
            assert not any(future.done() for future in asked)
        release.set()
        outcomes = {future.result(10) for future in asked}
    assert outcomes == ({"wiseflow.http_503"} if fails else {42})
    assert len(loads) == 1 or fails


def test_threads_that_reject_the_same_entry_cause_one_more_load() -> None:
    cache: ShortCache[str, int] = ShortCache(lambda _: 10.0, 5)
    loads = iter(range(100))
    old = cache.get("a", lambda: next(loads))
    with ThreadPoolExecutor(8) as pool:
        entries = list(pool.map(lambda _: cache.get("a", lambda: next(loads), instead_of=old), range(32)))
    assert {entry.value for entry in entries} == {1}
    assert old.value == 0


def test_the_least_recently_used_value_is_dropped_when_the_weight_is_too_much() -> None:
    cache: ShortCache[str, str] = ShortCache(lambda _: 10.0, 5, weigh=len)
    cache.get("a", lambda: "xx")
    cache.get("b", lambda: "xx")
    cache.get("a", lambda: "never")
    cache.get("c", lambda: "xx")
    assert cache.get("a", lambda: "again").value == "xx"
    assert cache.get("b", lambda: "again").value == "again"


def test_a_value_that_alone_is_too_heavy_is_still_kept() -> None:
    cache: ShortCache[str, str] = ShortCache(lambda _: 10.0, 5, weigh=len)
    cache.get("a", lambda: "x" * 50)
    assert cache.get("a", lambda: "again").value == "x" * 50


@dataclass(eq=False)
class Value:
    """A value that is freed as soon as the cache drops it."""

    weight: int


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=40))
def test_the_weight_stays_bounded(asked: list[tuple[int, int]]) -> None:
    cache: ShortCache[int, Value] = ShortCache(lambda _: 10.0, 6, weigh=lambda value: value.weight)
    loaded: list[weakref.ref[Value]] = []

    def load(weight: int) -> Value:
        value = Value(weight)
        loaded.append(weakref.ref(value))
        return value

    for key, weight in asked:
        cache.get(key, partial(load, weight))
        kept = [value.weight for value in (reference() for reference in loaded) if value is not None]
        assert sum(kept) <= 6 or len(kept) == 1
