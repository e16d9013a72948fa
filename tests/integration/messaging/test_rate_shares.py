"""How processes share a vendor's rate, step by step: the share store is on a real server, and the test moves the clock."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import ServerSelectionTimeoutError

from casebridge.database import Database
from casebridge.errors import RateLimitedError
from casebridge.rates.division import WHOLE
from casebridge.rates.share import SLACK_SECONDS
from casebridge.rates.share_keeper import ShareKeeper
from casebridge.rates.share_store import ShareStore
from resources.http.rate_limit import LONGEST_WAIT
from tests.support.manual_clock import ManualSeconds
from tests.support.rate_processes import LEASE_SECONDS, RateProcess
from tests.support.waiting import wait_until

LIMIT = 12
RATES = [(LIMIT, 1.0)]
RENEW_SECONDS = LEASE_SECONDS / 5 + 0.1
"""After this time a read is due, and earlier calls are out of the vendor's window."""


@pytest.fixture
def time() -> ManualSeconds:
    return ManualSeconds()


@pytest.fixture
def new_process(database: Database, time: ManualSeconds) -> Callable[..., RateProcess]:
    passed: list[float] = []
    return lambda rates=RATES: RateProcess(database, time, rates, passed)


def claims_of(database: Database, credential: str) -> Sequence[Any]:
    document = database.rate_shares.find_one({"_id": credential})
    assert document is not None
    return list(document["claims"])


def test_a_single_process_uses_all_of_the_rate_and_no_more(new_process: Callable[..., RateProcess]) -> None:
    assert new_process().call(LIMIT + 5) == LIMIT


def test_a_process_makes_room_only_when_its_calls_are_out_of_the_vendors_window(
    new_process: Callable[..., RateProcess], time: ManualSeconds
) -> None:
    first, second = new_process(), new_process()
    assert first.call(LIMIT) == LIMIT
    assert second.call(1) == 0

    time.now += 0.9
    first.keeper.renew()
    assert (first.parts_in_force, second.call(1)) == (WHOLE // 2, 0), "lowered, and not yet handed over"

    time.now += 0.2
    first.keeper.renew()
    time.now += RENEW_SECONDS
    assert (first.call(LIMIT), second.call(LIMIT)) == (LIMIT // 2, LIMIT // 2)


def test_an_idle_process_gives_its_share_back(new_process: Callable[..., RateProcess], time: ManualSeconds) -> None:
    idle, busy = new_process(), new_process()
    assert idle.call(1) == 1
    assert busy.call(LIMIT) < LIMIT
    for _ in range(6):
        time.now += RENEW_SECONDS
        idle.keeper.renew()
        busy.call(1)
    assert idle.parts_in_force == 0
    time.now += RENEW_SECONDS
    assert busy.call(LIMIT) == LIMIT


def test_the_share_of_a_dead_process_is_free_after_its_lease_and_one_window(
    new_process: Callable[..., RateProcess], time: ManualSeconds
) -> None:
    """The dead process may have called until the end of its lease. One window later those calls count no more."""
    dead, living = new_process(), new_process()
    dead.call(1)
    assert dead.call(LIMIT) == LIMIT - 1, "it has all"
    assert living.call(1) == 0

    time.now += LEASE_SECONDS - 0.1
    assert dead.call(LIMIT) == LIMIT, "the last moment of its lease"
    time.now += 0.2
    assert (dead.parts_in_force, living.call(1)) == (0, 0), "over, and not yet another's"
    time.now += SLACK_SECONDS
    assert living.call(LIMIT) == LIMIT


def test_a_process_that_was_frozen_finds_its_share_gone(
    new_process: Callable[..., RateProcess], time: ManualSeconds
) -> None:
    frozen, other = new_process(), new_process()
    assert frozen.call(LIMIT) == LIMIT
    assert other.call(1) == 0
    time.now += LEASE_SECONDS + SLACK_SECONDS + 0.1
    assert other.call(LIMIT) == LIMIT
    assert frozen.call(LIMIT) == 0


def test_a_process_that_stops_frees_its_share_at_once(
    new_process: Callable[..., RateProcess], time: ManualSeconds
) -> None:
    leaving, staying = new_process(), new_process()
    assert leaving.call(LIMIT) == LIMIT
    time.now += 1.1
    leaving.keeper.close()
    assert staying.call(LIMIT) == LIMIT


def test_without_the_database_a_share_lasts_until_its_lease_ends_and_then_nothing_is_called(
    new_process: Callable[..., RateProcess], time: ManualSeconds
) -> None:
    process = new_process()

    def away() -> None:
        raise ServerSelectionTimeoutError("the database is away")

    assert process.call(LIMIT) == LIMIT
    for _ in range(4):
        time.now += RENEW_SECONDS
        process.share_store.before_write = away
        assert process.call(LIMIT) == LIMIT
    time.now += RENEW_SECONDS
    process.share_store.before_write = away
    assert process.call(1) == 0
    time.now += RENEW_SECONDS
    assert process.call(LIMIT) == LIMIT, "it is back"


def test_a_budget_smaller_than_the_number_of_processes_is_kept_all_the_same(
    new_process: Callable[..., RateProcess], time: ManualSeconds
) -> None:
    crowd = [new_process([(2, 1.0)]) for _ in range(4)]
    for _ in range(20):
        time.now += RENEW_SECONDS
        assert sum(process.call(2) for process in crowd) <= 2


def released_for(process: RateProcess, time: ManualSeconds) -> timedelta:
    """Try to call until waiting is no longer worth it, like a worker. Returns for how long the worker is released."""
    while True:
        try:
            process.gate.pass_gate()
        except RateLimitedError as error:
            if error.code == "wiseflow.rate_limited":
                return error.retry_after or timedelta()
            time.now += RENEW_SECONDS


def test_a_worker_that_waits_for_room_is_not_released_for_the_vendors_window(
    new_process: Callable[..., RateProcess], time: ManualSeconds
) -> None:
    """Its calls of the last minute are too many for its share, but the share is small only until the others make room."""
    rates = [(LIMIT, 1.0), (60 * LIMIT, 60.0)]
    returning, busy = new_process(rates), new_process(rates)
    for _ in range(20):
        assert returning.call(LIMIT // 2) == LIMIT // 2
        time.now += 1.1
    assert busy.call(1) == 1
    time.now += LEASE_SECONDS + SLACK_SECONDS + 0.1
    assert busy.call(LIMIT - 1) == LIMIT - 1, "it has all: the other was silent for too long"
    assert returning.call(1) == 0, "it is back, and asks"
    busy.keeper.renew()  # it makes room when its calls are out of the vendor's window

    wait = released_for(returning, time)

    assert returning.parts_in_force == WHOLE // LIMIT
    assert wait <= LONGEST_WAIT


def test_a_worker_with_a_used_up_even_share_is_released_until_the_window_ends(
    new_process: Callable[..., RateProcess], time: ManualSeconds
) -> None:
    rates = [(LIMIT, 60.0)]
    first, second = new_process(rates), new_process(rates)
    assert (first.call(LIMIT // 2), second.call(LIMIT // 2)) == (LIMIT // 2, LIMIT // 2)

    assert released_for(first, time) > timedelta(seconds=50)


def test_shares_are_renewed_in_the_background_and_freed_at_the_end(database: Database) -> None:
    keeper = ShareKeeper(ShareStore(database), lease_seconds=0.5)
    share = keeper.share("a credential")
    assert share.grow_beyond(0)

    def revision() -> str:
        (claim,) = claims_of(database, "a credential")
        return str(claim["word"])

    first = revision()
    wait_until(lambda: share.parts() and revision() != first, "the lease is renewed")
    keeper.close()
    assert share.parts() == 0
    assert claims_of(database, "a credential") == []


def test_a_lease_runs_from_the_read_not_from_the_write(
    new_process: Callable[..., RateProcess], time: ManualSeconds
) -> None:
    """A process that is frozen between the two must not use its share for longer than the others expect."""
    process = new_process()

    def freeze() -> None:
        time.now += LEASE_SECONDS - 1.0

    process.share_store.before_write = freeze
    process.call(1)
    assert process.parts_in_force > 0
    time.now += 1.1
    assert process.parts_in_force == 0


def test_a_share_is_lowered_even_if_the_answer_to_the_write_is_lost(
    new_process: Callable[..., RateProcess], time: ManualSeconds
) -> None:
    first, second = new_process(), new_process()
    assert first.call(LIMIT) == LIMIT
    assert second.call(1) == 0
    time.now += RENEW_SECONDS

    def lose_the_answer() -> None:
        raise ServerSelectionTimeoutError("the answer was lost")

    first.share_store.after_write = lose_the_answer
    first.keeper.renew()
    time.now += RENEW_SECONDS
    assert second.call(LIMIT) == LIMIT // 2, "it was written"
    assert first.call(LIMIT) == LIMIT // 2


def test_a_process_that_is_always_overtaken_gets_no_share(
    new_process: Callable[..., RateProcess], time: ManualSeconds
) -> None:
    slow, fast = new_process(), new_process()
    fast.share.grow_beyond(0)

    def overtake() -> None:
        time.now += LEASE_SECONDS / 2
        fast.call(1)
        fast.keeper.renew()
        slow.share_store.before_write = overtake

    slow.share_store.before_write = overtake
    slow.share.grow_beyond(0)
    assert (slow.parts_in_force, fast.parts_in_force) == (0, WHOLE // 2)
