"""Who claims which message of MeldingQ: the oldest first, one of each case, and never the same by two workers at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

from casebridge.database import Database
from casebridge.messaging.queue.claims import BLOCKED_WAIT
from casebridge.messaging.queue.interventions import Chosen
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Failure, MessageStatus, NewMessage
from casebridge.messaging.queue.outcome import Outcome
from tests.support.manual_clock import ManualClock

LEASE = timedelta(seconds=60)
HOLD = timedelta(seconds=30)
OF_ONE_CASE = 16


def new_message(key: str, case: str) -> NewMessage:
    return NewMessage(
        key, "wiseflow-begrunnelse", "uis.no", "test", case, f"correlation-{case}", {"n": 1}, exam_system="WISEFLOW"
    )


def test_a_bounded_claim_takes_the_oldest_and_leaves_the_rest(database: Database) -> None:
    clock = ManualClock()
    queue = MeldingQ(database, clock, LEASE)
    for number in range(5):
        queue.accept([new_message(f"m{number}", f"case{number}")])
        clock.pass_time(1)
    taken = [[message.key for message in queue.claim("one", limit)] for limit in (1, 2, 100)]
    assert [sorted(keys) for keys in taken] == [["m0"], ["m1", "m2"], ["m3", "m4"]]


def test_a_replayed_message_behind_a_younger_one_in_work_blocks_nobody(database: Database) -> None:
    clock = ManualClock()
    queue = MeldingQ(database, clock, LEASE)
    queue.accept([new_message("old", "the case")])
    (old,) = queue.claim("one", 1)
    failure = Failure(clock.now(), 1, "step", "permanent", "test.failed", "It failed.", "Look at it.")
    queue.fail(Outcome(old, MessageStatus.DEAD, "step", failure))
    clock.pass_time(1)
    queue.accept([new_message("young", "the case")])
    (young,) = queue.claim("one", 1)
    queue.replay([Chosen("old", 1)], from_status=MessageStatus.DEAD, reason="test", asked_by="test")
    clock.pass_time(1)
    queue.accept([new_message("other", "another case")])

    assert [message.key for message in queue.claim("two", 100)] == ["other"]
    queue.finish([Outcome(young, MessageStatus.PROCESSED)], HOLD)
    clock.pass_time(BLOCKED_WAIT.total_seconds())
    assert [message.key for message in queue.claim("two", 100)] == ["old"]


def test_workers_that_claim_at_the_same_moment_never_get_the_same_message(database: Database) -> None:
    clock = ManualClock()
    queue = MeldingQ(database, clock, LEASE)
    queue.accept([new_message(f"m{number}", f"case{number}") for number in range(200)])
    together = Barrier(4)

    def claim_all(worker: str) -> list[str]:
        together.wait()
        mine: list[str] = []
        while claimed := queue.claim(worker, 25):
            mine += [message.key for message in claimed]
        return mine

    with ThreadPoolExecutor(4) as pool:
        claimed = [key for keys in pool.map(claim_all, ["one", "two", "three", "four"]) for key in keys]

    assert len(claimed) == len(set(claimed)), "a message in two hands"
    # A worker that lost a race claims again in the next round, so nothing is left behind.
    claimed += [message.key for message in queue.claim("five", 200)]
    assert sorted(claimed) == sorted(f"m{number}" for number in range(200))


def test_two_messages_of_a_case_are_never_in_work_together(database: Database) -> None:
    clock = ManualClock()
    queue = MeldingQ(database, clock, timedelta(days=1))  # the threads push the clock: no lease may run out
    for number in range(OF_ONE_CASE):
        queue.accept([new_message(f"m{number}", "the case")])
        clock.pass_time(0.001)
    together = Barrier(4)
    order: list[str] = []

    def work(worker: str) -> None:
        together.wait()
        while len(order) < OF_ONE_CASE:
            for message in queue.claim(worker, 10):
                assert database.messages.count_documents({"status": MessageStatus.PROCESSING.value}) == 1
                order.append(message.key)
                queue.finish([Outcome(message, MessageStatus.PROCESSED)], HOLD)
            clock.pass_time(2)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, ["one", "two", "three", "four"]))

    assert order == [f"m{number}" for number in range(OF_ONE_CASE)]
