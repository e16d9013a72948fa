"""The network is cut between a write and its answer, on each MongoDB-protocol server.

The writer does not know whether the write was done, and repeats it. Every write of every operation is cut once before the
server gets it and once after. In the end the database must be as if nothing had happened.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo.errors import ConnectionFailure

from casebridge.database import Database
from casebridge.messaging.outbox.pending_effects import PendingEffects
from casebridge.messaging.queue.message import Message, MessageStatus
from casebridge.settings import MongoDBSettings
from tests.support.cutting_proxy import CuttingProxy, Lost
from tests.support.manual_clock import ManualClock
from tests.support.queue_calls import LEASE, QueueCalls, effects_of, new_message

A_WHILE = timedelta(seconds=15)
MOST_WRITES = 6
DRAWN = ("claim", "relay")
"""Fields with tokens, which each attempt draws anew."""
Prepared = Any


@dataclass(frozen=True)
class Operation:
    """An operation on the message `one`, after `prepare`. It is repeated if its answer was lost."""

    prepare: Callable[[QueueCalls], Prepared]
    do: Callable[[QueueCalls, Prepared], object]


def nothing(queue: QueueCalls) -> None:
    pass


def claimed(queue: QueueCalls) -> Message:
    queue.accept(new_message("one"))
    return queue.claim_one("one")


def dead(queue: QueueCalls) -> None:
    queue.fail(claimed(queue), MessageStatus.DEAD)


def discarded(queue: QueueCalls) -> None:
    dead(queue)
    assert queue.discard("one") == 1


def dead_with_effects(queue: QueueCalls) -> list[PendingEffects]:
    queue.fail(claimed(queue), MessageStatus.DEAD, effect_ids=["effect one"])
    return queue.claim_pending()


def finished_with_effects(queue: QueueCalls) -> list[PendingEffects]:
    assert queue.finish(claimed(queue), "effect one")
    queue.pass_time(LEASE)
    return queue.claim_pending()


OPERATIONS: dict[str, Operation] = {
    "accept": Operation(nothing, lambda queue, _: queue.accept(new_message("one"))),
    "record a step": Operation(claimed, lambda queue, message: queue.record_step(message, "find_exam")),
    "finish": Operation(claimed, lambda queue, message: still_mine(queue.finish(message, "effect one"))),
    "set aside": Operation(claimed, lambda queue, message: queue.fail(message, MessageStatus.DEAD)),
    "try again later": Operation(claimed, lambda queue, message: queue.fail(message, MessageStatus.FAILED, A_WHILE)),
    "try again later at no cost": Operation(
        claimed, lambda queue, message: queue.fail(message, MessageStatus.ENQUEUED, A_WHILE, counts=False)
    ),
    "release": Operation(claimed, lambda queue, message: queue.release(message)),
    "keep": Operation(claimed, lambda queue, message: queue.keep("worker", message)),
    "replay": Operation(dead, lambda queue, _: queue.replay("one")),
    "discard": Operation(dead, lambda queue, _: queue.discard("one")),
    "take a discard back": Operation(
        discarded, lambda queue, _: queue.replay("one", from_status=MessageStatus.DISCARDED)
    ),
    "remove delivered effects of a dead message": Operation(
        dead_with_effects, lambda queue, pending_effects: queue.acknowledge(pending_effects)
    ),
    "remove delivered effects of a finished message": Operation(
        finished_with_effects, lambda queue, pending_effects: queue.acknowledge(pending_effects)
    ),
}


def still_mine(answer: bool) -> None:
    assert answer, "what was lost was the answer, not the lease"


@pytest.fixture
def proxy(mongodb_uri: SecretStr) -> Iterator[CuttingProxy]:
    with CuttingProxy(mongodb_uri) as running:
        yield running


@pytest.fixture
def proxied(proxy: CuttingProxy, database: Database, mongodb_settings: MongoDBSettings) -> Iterator[Database]:
    """This test's databases, through the proxy."""
    opened = Database(MongoDBSettings.model_validate({**mongodb_settings.model_dump(), "uri": proxy.uri}))
    yield opened
    opened.close()


def picture(database: Database) -> dict[str, list[dict[str, Any]]]:
    """All documents of the queue's collections, without the fields that are drawn at random."""
    return {
        collection.name: [
            {name: value for name, value in document.items() if name not in DRAWN}
            for document in collection.find().sort("_id", 1)
        ]
        for collection in (database.messages, database.processed_messages, database.received_keys)
    }


@pytest.mark.parametrize("lost", Lost)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_repeated_operation_has_one_effect(
    name: str, lost: Lost, database: Database, proxied: Database, proxy: CuttingProxy
) -> None:
    operation = OPERATIONS[name]

    def prepared() -> tuple[QueueCalls, Prepared]:
        QueueCalls(database).delete_everything()
        clock = ManualClock()
        return QueueCalls(proxied, clock), operation.prepare(QueueCalls(database, clock))

    queue, material = prepared()
    operation.do(queue, material)
    undisturbed = picture(database)

    for write in count(1):
        assert write <= MOST_WRITES
        queue, material = prepared()
        proxy.lose(lost, write)
        try:
            operation.do(queue, material)
        except ConnectionFailure:
            assert proxy.heal(), "the connection was lost, but not to us"
        else:
            assert not proxy.heal(), "a write was lost, and nobody noticed"
            break
        operation.do(queue, material)
        assert picture(database) == undisturbed, f"write {write}"
    assert write > 1, "no write was ever lost"


@pytest.mark.parametrize("lost", Lost)
def test_a_claim_with_a_lost_answer_ends_with_its_lease(
    lost: Lost, database: Database, proxied: Database, proxy: CuttingProxy
) -> None:
    """No process knows that it has the claim. When the lease ends, the message is claimed again with all its effects."""
    clock = ManualClock()
    queue, other = QueueCalls(proxied, clock), QueueCalls(database, clock)
    other.accept(new_message("one"), new_message("two"))
    proxy.lose(lost, 1)

    with pytest.raises(ConnectionFailure):
        queue.claim("in the dark")
    assert proxy.heal()

    if lost is Lost.REQUEST:
        assert sorted(queue.claim("in the dark")) == ["one", "two"]
        return
    assert other.claim("another") == {}
    assert queue.claim("in the dark") == {}
    other.pass_time(LEASE)
    taken = queue.claim("in the dark")
    assert sorted(taken) == ["one", "two"]
    assert {(message.attempts, message.fence, message.taken_over) for message in taken.values()} == {(1, 2, True)}
    assert all(queue.finish(message) for message in taken.values())


def test_effects_claimed_with_a_lost_answer_are_claimed_again(
    database: Database, proxied: Database, proxy: CuttingProxy
) -> None:
    clock = ManualClock()
    queue, other = QueueCalls(proxied, clock), QueueCalls(database, clock)
    assert other.finish(claimed(other), "effect one")
    other.pass_time(LEASE)
    proxy.lose(Lost.ANSWER, 1)

    with pytest.raises(ConnectionFailure):
        queue.claim_pending()
    assert proxy.heal()

    assert other.claim_pending() == []
    assert effects_of(queue.deliver_pending()) == {"one": ["effect one"]}


@pytest.mark.parametrize("lost", Lost)
@pytest.mark.parametrize("write", [1, 2], ids=["move", "remove"])
def test_effects_that_another_relay_may_have_are_not_delivered_here(
    write: int, lost: Lost, database: Database, proxied: Database, proxy: CuttingProxy
) -> None:
    """The process did not learn that its messages were moved. By now another relay may have their effects."""
    clock = ManualClock()
    queue, other = QueueCalls(proxied, clock), QueueCalls(database, clock)
    message = claimed(other)
    proxy.lose(lost, write)
    with pytest.raises(ConnectionFailure):
        queue.move(message, "effect one")
    assert proxy.heal()

    by_another = effects_of(other.deliver_pending())
    moved = queue.move(message, "effect one")

    assert moved.status is MessageStatus.PROCESSED
    written_now = [moved.pending_effects] if moved.pending_effects else []
    assert [by_another, effects_of(written_now)].count({"one": ["effect one"]}) == 1, (
        "by one of the two, and by no more"
    )
    queue.acknowledge(written_now)
    assert other.deliver_pending() == []
