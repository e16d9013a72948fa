"""What becomes of claimed messages on each MongoDB-protocol server: steps, outcomes, zombies, pending effects, replays."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest

from casebridge.database import Database
from casebridge.errors import LeaseLostError
from casebridge.messaging.queue.message import Message, MessageStatus
from tests.support.queue_calls import LEASE, QueueCalls, effects_of, new_message

A_WHILE = timedelta(seconds=15)
RELAYS = 4


@pytest.fixture
def queue(database: Database) -> QueueCalls:
    return QueueCalls(database)


@pytest.fixture
def message(queue: QueueCalls) -> Message:
    """The message `one`, claimed by a worker."""
    queue.accept(new_message("one"))
    return queue.claim_one("one")


def test_the_next_worker_does_not_repeat_done_steps(queue: QueueCalls, message: Message) -> None:
    queue.record_step(message, "find_exam")
    queue.record_step(message, "find_candidate")
    queue.pass_time(LEASE)
    resumed = queue.claim_one("one", owner="another")
    assert {name: step.result for name, step in resumed.steps.items()} == {
        "find_exam": {"came": "out of find_exam"},
        "find_candidate": {"came": "out of find_candidate"},
    }


def test_a_finished_message_leaves_the_live_queue_with_all_its_steps(queue: QueueCalls, message: Message) -> None:
    queue.record_step(message, "find_exam")
    assert queue.finish(message)
    found = queue.stored("one")
    assert found is not None
    assert found.processed
    assert sorted(found.document["steps"]) == ["find_exam", "last"]
    assert found.document["finishedAt"]
    assert {"dueAt", "owner", "claim"}.isdisjoint(found.document)
    queue.pass_time(LEASE)
    assert queue.claim() == {}


def test_dropped_results_are_not_stored(queue: QueueCalls, message: Message) -> None:
    queue.record_step(message, "secret")
    assert "secret" in str(queue.document("one"))
    assert queue.finish(message)
    assert "result" not in queue.document("one")["steps"]["secret"]


def test_a_message_that_is_set_aside_stays_and_is_never_due(queue: QueueCalls, message: Message) -> None:
    queue.fail(message, MessageStatus.DEAD)
    queue.pass_time(timedelta(days=365))
    assert queue.claim() == {}
    document = queue.document("one")
    assert (document["status"], document["errors"][0]["code"]) == ("dead", "test.failed")
    assert {"dueAt", "owner", "claim"}.isdisjoint(document)


def test_an_uncharged_failure_costs_no_attempt(queue: QueueCalls, message: Message) -> None:
    queue.fail(message, MessageStatus.ENQUEUED, A_WHILE, counts=False)
    assert queue.claim() == {}
    queue.pass_time(A_WHILE)
    assert queue.claim_one("one").attempts == 1


def test_the_newest_errors_are_kept(queue: QueueCalls, message: Message) -> None:
    for attempt in range(1, 24):
        assert message.attempts == attempt
        queue.fail(message, MessageStatus.FAILED, A_WHILE)
        queue.pass_time(A_WHILE)
        message = queue.claim_one("one")
    assert [error["attempt"] for error in message.errors] == list(range(4, 24))


class TestZombie:
    """A worker that lost its lease and does not know it. None of its writes has an effect."""

    @pytest.fixture(params=["in work", "finished", "set aside", "paid"])
    def taken_over(self, request: pytest.FixtureRequest, queue: QueueCalls, message: Message) -> str:
        queue.pass_time(LEASE)
        other = queue.claim_one("one", owner="another")
        if request.param == "set aside":
            queue.fail(other, MessageStatus.DEAD)
        elif request.param != "in work":
            assert queue.finish(other, "effect of the other")
            if request.param == "paid":
                queue.deliver_pending()
        return str(request.param)

    def test_its_writes_change_nothing(self, queue: QueueCalls, message: Message, taken_over: str) -> None:
        before = queue.stored("one")
        with pytest.raises(LeaseLostError):
            queue.record_step(message, "zombie")
        assert not queue.finish(message, "effect of a zombie")
        with pytest.raises(LeaseLostError):
            queue.fail(message, MessageStatus.DEAD)
        queue.release(message)
        queue.keep("worker", message)
        assert queue.stored("one") == before


class TestPendingEffects:
    def test_another_relay_gets_them_when_the_hold_of_the_own_one_ends(
        self, queue: QueueCalls, message: Message
    ) -> None:
        assert queue.finish(message, "effect one", "effect two")
        assert queue.claim_pending() == []
        assert effects_of(queue.deliver_pending()) == {"one": ["effect one", "effect two"]}
        assert queue.deliver_pending() == []

    def test_effects_that_a_relay_has_claimed_go_to_no_other(self, database: Database, queue: QueueCalls) -> None:
        keys = [f"message {number}" for number in range(8)]
        queue.accept(*(new_message(key) for key in keys))
        for message in queue.claim().values():
            assert queue.finish(message, f"effect of {message.key}")
        queue.pass_time(LEASE)
        start = Barrier(RELAYS)

        def relay(_: int) -> list[str]:
            start.wait()
            return list(effects_of(QueueCalls(database, queue.clock).claim_pending()))

        with ThreadPoolExecutor(RELAYS) as pool:
            held = [key for share in pool.map(relay, range(RELAYS)) for key in share]
        assert sorted(held) == keys

    def test_effects_of_a_dead_relay_are_claimed_again(self, queue: QueueCalls, message: Message) -> None:
        assert queue.finish(message, "effect one")
        queue.pass_time(LEASE)
        assert effects_of(queue.claim_pending()) == {"one": ["effect one"]}
        assert queue.claim_pending() == []
        assert effects_of(queue.deliver_pending()) == {"one": ["effect one"]}

    def test_effects_of_a_live_message_stay_pending_when_it_is_finished(
        self, queue: QueueCalls, message: Message
    ) -> None:
        queue.fail(message, MessageStatus.FAILED, A_WHILE, effect_ids=["alert of an attempt"])
        queue.pass_time(A_WHILE)
        assert queue.finish(queue.claim_one("one"), "effect one")
        assert effects_of(queue.deliver_pending()) == {"one": ["alert of an attempt", "effect one"]}
        assert queue.deliver_pending() == []

    def test_effects_of_a_dead_message_are_delivered_and_the_message_stays(
        self, queue: QueueCalls, message: Message
    ) -> None:
        queue.fail(message, MessageStatus.DEAD, effect_ids=["alert"])
        assert effects_of(queue.claim_pending()) == {"one": ["alert"]}
        assert effects_of(queue.deliver_pending()) == {"one": ["alert"]}
        assert queue.deliver_pending() == []
        assert queue.document("one")["status"] == "dead"


class TestReplay:
    def test_a_replayed_message_continues_at_its_failed_step(self, queue: QueueCalls, message: Message) -> None:
        queue.record_step(message, "find_exam")
        queue.fail(message, MessageStatus.DEAD)
        assert queue.replay("one") == 1
        again = queue.claim_one("one")
        assert (again.attempts, again.generation, sorted(again.steps)) == (1, 2, ["find_exam"])
        (replay,) = queue.document("one")["replays"]
        assert (replay["by"], replay["reason"]) == ("an operator", "the cause is gone")

    @pytest.mark.parametrize("state", ["enqueued", "in work", "finished", "unknown"])
    def test_nothing_else_is_replayed(self, queue: QueueCalls, state: str) -> None:
        queue.accept(new_message("one"))
        if state in ("in work", "finished"):
            message = queue.claim_one("one")
            if state == "finished":
                assert queue.finish(message)
        before = queue.stored("one")
        key = "one" if state != "unknown" else "nobody's"
        assert queue.replay(key) == queue.replay(key, from_status=MessageStatus.DISCARDED) == queue.discard(key) == 0
        assert queue.stored("one") == before

    def test_a_discarded_message_is_not_claimed_and_can_be_replayed(self, queue: QueueCalls, message: Message) -> None:
        queue.record_step(message, "find_exam")
        queue.fail(message, MessageStatus.DEAD)
        assert queue.discard("one") == 1
        queue.pass_time(A_WHILE)
        assert (queue.claim(), queue.replay("one"), queue.discard("one")) == ({}, 0, 0)
        assert queue.replay("one", from_status=MessageStatus.DISCARDED) == 1
        again = queue.claim_one("one")
        assert (again.attempts, again.generation, sorted(again.steps)) == (1, 2, ["find_exam"])

    def test_operators_who_replay_at_once_replay_once(self, database: Database, queue: QueueCalls) -> None:
        keys = [f"message {number}" for number in range(6)]
        queue.accept(*(new_message(key) for key in keys))
        for message in queue.claim().values():
            queue.fail(message, MessageStatus.DEAD)
        start = Barrier(2)

        def replay(_: int) -> int:
            start.wait()
            return QueueCalls(database, queue.clock).replay(*keys)

        with ThreadPoolExecutor(2) as pool:
            assert sum(pool.map(replay, range(2))) == len(keys)
        assert {document["generation"] for document in database.messages.find()} == {2}


OUTCOMES: dict[str, Callable[[QueueCalls, Message], object]] = {
    "step": lambda queue, message: queue.record_step(message, "find_exam"),
    "finish": lambda queue, message: queue.finish(message, "effect one"),
    "set aside": lambda queue, message: queue.fail(message, MessageStatus.DEAD),
    "fail at no cost": lambda queue, message: queue.fail(message, MessageStatus.ENQUEUED, A_WHILE, counts=False),
    "release": lambda queue, message: queue.release(message),
    "keep": lambda queue, message: queue.keep("worker", message),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_change_that_is_applied_twice_is_applied_once(queue: QueueCalls, message: Message, outcome: str) -> None:
    OUTCOMES[outcome](queue, message)
    once = queue.stored("one")
    OUTCOMES[outcome](queue, message)
    assert queue.stored("one") == once
