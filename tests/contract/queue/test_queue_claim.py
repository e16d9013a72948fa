"""Claims on each MongoDB-protocol server: a message has one worker at a time, and a case one message at a time."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from multiprocessing.synchronize import Barrier as ProcessBarrier
from threading import Barrier

import pytest

from casebridge.clock import ServerClock
from casebridge.database import Database
from casebridge.messaging.queue.message import Message, MessageStatus
from casebridge.settings import MongoDBSettings
from tests.support.queue_calls import LEASE, QueueCalls, new_message

MESSAGES = 40
AT_ONCE = 5
THREADS = 6
PROCESSES = 2
MOMENT = timedelta(milliseconds=1)
A_WHILE = timedelta(seconds=15)


@pytest.fixture
def queue(database: Database) -> QueueCalls:
    return QueueCalls(database)


def test_the_oldest_first_and_no_more_than_asked_for(queue: QueueCalls) -> None:
    for number in range(5):
        queue.accept(new_message(f"message {number}"))
        queue.pass_time(MOMENT)
    taken = [sorted(queue.claim(limit=limit)) for limit in (1, 2, 100)]
    assert taken == [["message 0"], ["message 1", "message 2"], ["message 3", "message 4"]]


def test_a_claim_charges_an_attempt_and_raises_the_fence(queue: QueueCalls) -> None:
    queue.accept(new_message("one"))
    message = queue.claim_one("one", owner="first")
    assert (message.attempts, message.fence, message.taken_over) == (1, 1, False)
    document = queue.document("one")
    assert (document["status"], document["owner"], document["attempts"], document["fence"]) == (
        "processing",
        "first",
        1,
        1,
    )
    assert queue.due_at("one") == queue.clock.now() + LEASE


def test_a_claimed_message_is_not_claimed_again_before_its_lease_ends(queue: QueueCalls) -> None:
    queue.accept(new_message("one"))
    queue.claim_one("one", owner="first")
    queue.pass_time(LEASE - MOMENT)
    assert queue.claim("second") == {}
    queue.pass_time(MOMENT)
    taken = queue.claim_one("one", owner="second")
    assert (taken.attempts, taken.fence, taken.taken_over) == (1, 2, True)


def lose(queue: QueueCalls, key: str, times: int) -> Message:
    """The message is claimed by one worker after the other, and each worker dies."""
    message = queue.claim_one(key, owner="worker 0")
    for number in range(1, times + 1):
        queue.pass_time(LEASE)
        message = queue.claim_one(key, owner=f"worker {number}")
    return message


def test_a_message_that_is_taken_over_twice_in_a_row_is_isolated(queue: QueueCalls) -> None:
    queue.accept(new_message("one"))
    assert not lose(queue, "one", 0).isolated
    queue.pass_time(LEASE)
    assert not queue.claim_one("one", owner="another").isolated
    queue.pass_time(LEASE)
    third = queue.claim_one("one", owner="a third")
    assert (third.attempts, third.fence, third.isolated) == (1, 3, True)


def test_only_a_message_that_was_lost_alone_is_charged(queue: QueueCalls) -> None:
    """A message that was claimed beside it and lost with it is not charged, however often."""
    queue.accept(new_message("culprit"))
    message = lose(queue, "culprit", 2)
    for attempts in (1, 2, 3):
        queue.begin_isolated(message)
        queue.begin_isolated(message)  # the answer to the claim was lost
        assert (message.attempts, queue.document("culprit")["attempts"]) == (attempts, attempts)
        queue.pass_time(LEASE)
        message = queue.claim_one("culprit", owner=f"after {attempts}")
    assert queue.document("culprit")["attempts"] == 3


def test_its_own_worker_takes_a_message_over_at_no_cost(queue: QueueCalls) -> None:
    """A living process loses its lease only if it cannot reach the database. The message is not to blame."""
    queue.accept(new_message("one"))
    for fence in range(1, 9):
        message = queue.claim_one("one", owner="the same")
        assert (message.attempts, message.fence, message.isolated) == (1, fence, False)
        queue.pass_time(LEASE)


def test_after_an_ordinary_outcome_a_message_is_not_isolated(queue: QueueCalls) -> None:
    queue.accept(new_message("one"))
    message = lose(queue, "one", 3)
    queue.begin_isolated(message)
    queue.fail(message, MessageStatus.FAILED, A_WHILE)
    queue.pass_time(A_WHILE)
    again = queue.claim_one("one")
    assert (again.attempts, again.isolated) == (2, False)
    assert {"alone", "takenOver"}.isdisjoint(queue.document("one"))


def test_a_heartbeat_keeps_the_lease_of_its_owner_alone(queue: QueueCalls) -> None:
    queue.accept(new_message("one"))
    message = queue.claim_one("one", owner="first")
    queue.pass_time(LEASE - MOMENT)
    queue.keep("second", message)
    assert queue.due_at("one") == queue.clock.now() + MOMENT
    queue.keep("first", message)
    assert queue.due_at("one") == queue.clock.now() + LEASE
    queue.pass_time(LEASE - MOMENT)
    assert queue.claim("second") == {}


def test_a_failed_message_is_due_after_its_wait(queue: QueueCalls) -> None:
    queue.accept(new_message("one"))
    queue.fail(queue.claim_one("one"), MessageStatus.FAILED, A_WHILE)
    queue.pass_time(A_WHILE - MOMENT)
    assert queue.claim() == {}
    queue.pass_time(MOMENT)
    assert queue.claim_one("one").attempts == 2


def test_a_released_message_has_lost_no_attempt(queue: QueueCalls) -> None:
    queue.accept(new_message("one"))
    queue.release(queue.claim_one("one", owner="first"))
    again = queue.claim_one("one", owner="second")
    assert (again.attempts, again.fence, again.taken_over) == (1, 2, False)


class TestOrderOfACase:
    """Three messages of one case, and one of another case, which is never blocked."""

    @pytest.fixture(autouse=True)
    def _case(self, queue: QueueCalls) -> None:
        for key in ("first", "second", "third"):
            queue.accept(new_message(key, "the case"))
            queue.pass_time(MOMENT)
        queue.accept(new_message("another"))

    def test_one_after_the_other(self, queue: QueueCalls) -> None:
        taken = queue.claim()
        assert sorted(taken) == ["another", "first"]
        assert queue.finish(taken["first"])
        queue.pass_time(A_WHILE)
        assert queue.finish(queue.claim_one("second"))
        queue.pass_time(A_WHILE)
        assert queue.finish(queue.claim_one("third"))

    def test_a_message_that_waits_for_its_next_attempt_blocks_the_next(self, queue: QueueCalls) -> None:
        queue.fail(queue.claim()["first"], MessageStatus.FAILED, A_WHILE)
        queue.pass_time(A_WHILE - MOMENT)
        assert queue.claim() == {}
        queue.pass_time(MOMENT)
        assert list(queue.claim()) == ["first"]

    def test_a_message_that_is_set_aside_does_not_block_the_next(self, queue: QueueCalls) -> None:
        queue.fail(queue.claim()["first"], MessageStatus.DEAD)
        queue.pass_time(A_WHILE)
        assert list(queue.claim()) == ["second"]

    def test_a_message_whose_worker_died_is_first_again(self, queue: QueueCalls) -> None:
        queue.claim("first worker")
        queue.pass_time(LEASE)
        assert sorted(queue.claim("second worker")) == ["another", "first"]

    def test_a_replayed_message_takes_its_old_place(self, queue: QueueCalls) -> None:
        queue.fail(queue.claim()["first"], MessageStatus.DEAD)
        assert queue.replay("first") == 1
        queue.pass_time(A_WHILE)
        assert list(queue.claim()) == ["first"]


def claim_until_nothing_is_left(queue: QueueCalls, owner: str) -> list[str]:
    keys: list[str] = []
    while claimed := queue.claim(owner, AT_ONCE):
        keys += claimed
    return keys


def check_each_was_claimed_once(database: Database, shares: list[list[str]]) -> None:
    """A claimer that finds only messages that others are about to take stops early. So the rest is claimed here."""
    rest = claim_until_nothing_is_left(QueueCalls(database, server_clock(database)), "last")
    claimed = [key for share in (*shares, rest) for key in share]
    assert sorted(claimed) == sorted(f"message {number}" for number in range(MESSAGES))
    assert {(document["fence"], document["attempts"]) for document in database.messages.find()} == {(1, 1)}


def server_clock(database: Database) -> ServerClock:
    return ServerClock(database.server_time)


@pytest.fixture
def filled(database: Database) -> Database:
    QueueCalls(database, server_clock(database)).accept(*(new_message(f"message {n}") for n in range(MESSAGES)))
    return database


def test_threads_share_the_queue(filled: Database) -> None:
    start = Barrier(THREADS)

    def work(number: int) -> list[str]:
        queue = QueueCalls(filled, server_clock(filled))
        start.wait()
        return claim_until_nothing_is_left(queue, f"worker {number}")

    with ThreadPoolExecutor(THREADS) as pool:
        shares = list(pool.map(work, range(THREADS)))
    check_each_was_claimed_once(filled, shares)


start_of_processes: ProcessBarrier


def remember_the_start(barrier: ProcessBarrier) -> None:
    global start_of_processes  # noqa: PLW0603 - how an initialiser hands it to the work of its process
    start_of_processes = barrier


def work_as_a_process(settings: MongoDBSettings) -> list[str]:
    """A worker with a database client and a clock of its own."""
    database = Database(settings)
    queue = QueueCalls(database, server_clock(database))
    start_of_processes.wait()
    try:
        return claim_until_nothing_is_left(queue, f"process {multiprocessing.current_process().pid}")
    finally:
        database.close()


def test_processes_share_the_queue(filled: Database, mongodb_settings: MongoDBSettings) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    with ProcessPoolExecutor(PROCESSES, context, remember_the_start, (barrier,)) as pool:
        shares = list(pool.map(work_as_a_process, [mongodb_settings] * PROCESSES))
    check_each_was_claimed_once(filled, shares)


def test_two_messages_of_a_case_are_never_in_work_at_once(database: Database) -> None:
    """Many threads claim, work and finish. A thread that has a message of a case must have the only one."""
    clock = server_clock(database)
    QueueCalls(database, clock).accept(*(new_message(f"message {n}", f"case {n % 3}") for n in range(12)))
    start = Barrier(THREADS)

    def work(number: int) -> list[str]:
        queue, keys = QueueCalls(database, clock), list[str]()
        start.wait()
        for _ in range(2):
            for message in queue.claim(f"worker {number}", AT_ONCE).values():
                selection = {"orderingKey": message.ordering_key, "status": MessageStatus.PROCESSING.value}
                assert [held["_id"] for held in database.messages.find(selection)] == [message.key]
                assert queue.finish(message)
                keys.append(message.key)
        return keys

    with ThreadPoolExecutor(THREADS) as pool:
        worked = [key for keys in pool.map(work, range(THREADS)) for key in keys]
    assert worked
    assert len(worked) == len(set(worked))
