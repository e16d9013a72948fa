"""Each action on a message in each status: the status changes as the table says, or not at all.

The state machine (`test_meldingq_state_machine`) tests the same for sequences of actions. Postponing is tested in
`integration/exams/test_foreign_rows_beside`, because it needs two messages of one case.
"""

import contextlib
from collections.abc import Callable
from datetime import timedelta

import pytest

from casebridge.database import Database
from casebridge.errors import LeaseLostError
from casebridge.messaging.queue.interventions import Chosen
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import UNFINISHED, Failure, Message, MessageStatus, NewMessage
from casebridge.messaging.queue.outcome import Outcome
from casebridge.messaging.queue.transitions import (
    ALLOWED_NEXT,
    TRANSITIONS,
    Action,
    IllegalTransitionError,
    source,
    sources,
    target,
)
from tests.support.manual_clock import ManualClock

LEASE = timedelta(seconds=60)
ENQUEUED, PROCESSING, PROCESSED, FAILED, DEAD, DISCARDED = MessageStatus


class KnownQueue(MeldingQ):
    """A queue with its database as an attribute."""

    database: Database


Act = Callable[[KnownQueue, Message, MessageStatus], object]


def claim(queue: KnownQueue, _message: Message, _to: MessageStatus) -> None:
    queue.claim("a worker", 10)


def release(queue: KnownQueue, message: Message, _to: MessageStatus) -> None:
    queue.release([message])


def finish(queue: KnownQueue, message: Message, _to: MessageStatus) -> None:
    queue.finish([Outcome(message, PROCESSED)], LEASE)


def fail(queue: KnownQueue, message: Message, to: MessageStatus) -> None:
    failure = Failure(message.enqueued_at, 1, "step", "transient", "test.failed", "It failed.", "Look at it.")
    queue.fail(Outcome(message, to, "step", failure, due_at=None if to is DEAD else message.enqueued_at))


def set_aside(queue: KnownQueue, message: Message, _to: MessageStatus) -> None:
    queue.database.messages.update_one({"_id": message.key}, {"$unset": {"queue": ""}})
    queue.lanes.search()


def replay(queue: KnownQueue, message: Message, _to: MessageStatus) -> None:
    for status in TRANSITIONS[Action.REPLAY].sources:
        queue.replay([Chosen(message.key, 1)], from_status=status, reason="a try", asked_by="an operator")


def discard(queue: KnownQueue, message: Message, _to: MessageStatus) -> None:
    queue.discard([Chosen(message.key, 1)], reason="a try", asked_by="an operator")


ACTS: dict[Action, Act] = {
    Action.CLAIM: claim,
    Action.RELEASE: release,
    Action.FINISH: finish,
    Action.FAIL: fail,
    Action.SET_ASIDE: set_aside,
    Action.REPLAY: replay,
    Action.DISCARD: discard,
}


@pytest.fixture
def queue(database: Database) -> KnownQueue:
    made = KnownQueue(database, ManualClock(), LEASE)
    made.database = database
    return made


def stored(queue: KnownQueue, status: MessageStatus) -> Message:
    """A message in this status, due if it can be."""
    now = ManualClock().now()
    document = NewMessage("key", "a queue", "uis.no", "test", "case", "correlation", {}).document(now)
    document |= {"status": status.value, "fence": 1, "attempts": 1, "claim": "a token", "owner": "a worker"}
    if status in (DEAD, DISCARDED, PROCESSED):
        del document["dueAt"]
    if status is DISCARDED:
        document["discardedAt"] = now
    (queue.database.processed_messages if status is PROCESSED else queue.database.messages).insert_one(document)
    return Message.from_document(document)


def status_of(queue: KnownQueue) -> MessageStatus:
    for collection in (queue.database.processed_messages, queue.database.messages):
        if found := collection.find_one({"_id": "key"}, {"status": 1}):
            return MessageStatus(found["status"])
    raise AssertionError("the message is lost")


@pytest.mark.parametrize(
    ("action", "to"),
    [(action, to) for action in ACTS for to in TRANSITIONS[action].targets],
    ids=lambda one: one.value,
)
@pytest.mark.parametrize("status", MessageStatus, ids=lambda one: one.value)
def test_an_action_leads_to_the_status_in_the_table(
    status: MessageStatus, action: Action, to: MessageStatus, queue: KnownQueue
) -> None:
    message = stored(queue, status)

    with contextlib.suppress(LeaseLostError):
        ACTS[action](queue, message, to)

    is_allowed = status in TRANSITIONS[action].sources
    assert status_of(queue) is (to if is_allowed else status)
    assert not is_allowed or to in ALLOWED_NEXT[status]


def test_a_change_that_is_not_in_the_table_is_refused_before_any_write(queue: KnownQueue) -> None:
    message = stored(queue, PROCESSING)

    for status in (PROCESSING, PROCESSED, DISCARDED):
        with pytest.raises(IllegalTransitionError):
            fail(queue, message, status)
    with pytest.raises(IllegalTransitionError):
        queue.replay([Chosen("key", 1)], from_status=PROCESSING, reason="a try", asked_by="an operator")

    assert status_of(queue) is PROCESSING


def test_the_table_has_what_other_modules_rely_on() -> None:
    assert set(sources(Action.CLAIM)) == {status.value for status in UNFINISHED}
    assert (source(Action.RELEASE), target(Action.RELEASE)) == ("processing", "enqueued")
    assert ALLOWED_NEXT[PROCESSED] == frozenset()
    assert set(ALLOWED_NEXT) == set(MessageStatus)
