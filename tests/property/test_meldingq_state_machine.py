"""MeldingQ compared with a plain model: deliveries repeated, crashes, ended leases, retries, replays, and writes of zombies.

The model is a dictionary with a few rules of the design. The queue is the real one on a real server. Hypothesis searches for a
sequence in which they differ.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from casebridge.database import Database, Document
from casebridge.errors import LeaseLostError
from casebridge.messaging.outbox.pending_effects import PendingEffectStore
from casebridge.messaging.queue.claims import BLOCKED_WAIT
from casebridge.messaging.queue.interventions import Chosen
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Failure, Message, MessageStatus, NewMessage, PendingEffect, StepRecord
from casebridge.messaging.queue.outcome import Outcome
from casebridge.messaging.queue.transitions import ALLOWED_NEXT
from tests.support.manual_clock import ManualClock

LEASE = timedelta(seconds=60)
RETRY = timedelta(seconds=15)
HOLD = timedelta(seconds=30)
MOST_UNFINISHED = 6
"""Two messages of each case show all that the queue does with a case. More would only make each check slower."""


@dataclass
class Expected:
    """The model's state of one message."""

    key: str
    case: str
    enqueued_at: datetime
    due_at: datetime | None
    status: MessageStatus = MessageStatus.ENQUEUED
    fence: int = 0
    attempts: int = 0
    generation: int = 1
    steps: list[str] = field(default_factory=list)
    finished: int = 0
    paid: bool = False

    @property
    def unfinished(self) -> bool:
        return self.status in (MessageStatus.ENQUEUED, MessageStatus.PROCESSING, MessageStatus.FAILED)


class MeldingQMachine(RuleBasedStateMachine):
    database: Database

    def __init__(self) -> None:
        super().__init__()
        for collection in (self.database.messages, self.database.processed_messages, self.database.received_keys):
            collection.delete_many({})
        self.clock = ManualClock()
        self.queue = MeldingQ(self.database, self.clock, LEASE)
        self.effects = PendingEffectStore(self.database, self.clock)
        self.model: dict[str, Expected] = {}
        self.held: dict[str, dict[str, Message]] = {"one": {}, "two": {}}
        self.zombies: list[Message] = []
        self.numbers = count()
        self.statuses: dict[str, MessageStatus] = {}
        """As they stood in the database after the rule before."""

    # Sources

    @precondition(lambda self: sum(expected.unfinished for expected in self.model.values()) < MOST_UNFINISHED)
    @rule(case=st.sampled_from("abc"))
    def enqueue(self, case: str) -> None:
        self.clock.pass_time(0.001)
        message = new_message(f"{case}{next(self.numbers)}", case)
        assert self.queue.accept([message]) == [message.key]
        now = self.clock.now()
        self.model[message.key] = Expected(message.key, case, enqueued_at=now, due_at=now)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def enqueue_again(self, data: st.DataObject) -> None:
        known = data.draw(st.sampled_from(sorted(self.model)))
        assert self.queue.accept([new_message(known, self.model[known].case)]) == []

    @precondition(lambda self: any(expected.finished for expected in self.model.values()))
    @rule(data=st.data())
    def slow_source_writes_a_copy_of_a_finished_message(self, data: st.DataObject) -> None:
        moved = data.draw(st.sampled_from(sorted(key for key, expected in self.model.items() if expected.finished)))
        if self.database.messages.find_one({"_id": moved}) is None:
            copy = new_message(moved, f"copy-of-{moved}").document(self.clock.now())
            self.database.messages.insert_one(copy)

    # Workers

    @precondition(lambda self: self.model)
    @rule(worker=st.sampled_from(["one", "two"]))
    def claim(self, worker: str) -> None:
        now = self.clock.now()
        claimable = self.claimable(now)
        # The order does not depend on the server, so that Hypothesis can repeat what it found.
        claimed = sorted(self.queue.claim(worker, 100), key=lambda message: message.key)
        keys = [message.key for message in claimed]
        assert set(keys) == claimable, "the first unfinished message of each case, when it is due, and no other"
        for message in claimed:
            expected = self.model[message.key]
            assert message.taken_over == (expected.status is MessageStatus.PROCESSING)
            charged = 0 if message.taken_over else 1
            for holder in self.held.values():
                if message.key in holder:
                    self.zombies.append(holder.pop(message.key))
            expected.status, expected.due_at = MessageStatus.PROCESSING, now + LEASE
            expected.fence, expected.attempts = expected.fence + 1, expected.attempts + charged
            assert (message.fence, message.attempts) == (expected.fence, expected.attempts)
            assert sorted(message.steps) == sorted(expected.steps), "what was done is not done again"
            self.held[worker][message.key] = message
        self.postpone_blocked(now)

    def claimable(self, now: datetime) -> set[str]:
        """Of each case: the message in work, or else the oldest unfinished one. Of these: those that are due."""
        heads: dict[str, Expected] = {}
        for expected in self.model.values():
            if expected.unfinished and (
                expected.case not in heads or precedence(expected) < precedence(heads[expected.case])
            ):
                heads[expected.case] = expected
        return {head.key for head in heads.values() if head.due_at is not None and head.due_at <= now}

    def postpone_blocked(self, now: datetime) -> None:
        """The queue may postpone blocked messages. The model takes over the new time but checks its bounds."""
        due_at = {row["_id"]: row.get("dueAt") for row in self.database.messages.find({}, {"dueAt": 1})}
        for expected in self.model.values():
            if expected.unfinished and expected.status is not MessageStatus.PROCESSING:
                found = due_at[expected.key]
                if found != expected.due_at:
                    assert found >= now + BLOCKED_WAIT
                    expected.due_at = found

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def record_step(self, data: st.DataObject) -> None:
        message = self.draw_held(data)
        name = f"step{len(message.steps)}"
        self.queue.record_steps(message, {name: step_record(self.clock, message)})
        self.model[message.key].steps.append(name)

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def heartbeat(self, data: st.DataObject) -> None:
        worker = self.draw_holder(data)
        self.queue.keep(worker, list(self.held[worker].values()))
        for key in self.held[worker]:
            self.model[key].due_at = self.clock.now() + LEASE

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        message = self.draw_held(data)
        finished = Outcome(message, MessageStatus.PROCESSED, effects=(PendingEffect.of(message, "log_index", {}),))
        # The second time, because the first answer was lost.
        first, second = (self.queue.finish([finished], HOLD)[0] for _ in range(2))
        assert (first.status, second.status) == (MessageStatus.PROCESSED, MessageStatus.PROCESSED)
        assert first.pending_effects is not None
        assert second.pending_effects is None
        expected = self.model[message.key]
        expected.status, expected.due_at, expected.finished = MessageStatus.PROCESSED, None, expected.finished + 1
        self.forget(message)

    @precondition(lambda self: any(self.held.values()))
    @rule(
        data=st.data(),
        outcome=st.sampled_from(
            [
                (MessageStatus.FAILED, RETRY, True),
                (MessageStatus.DEAD, None, True),
                (MessageStatus.ENQUEUED, RETRY, False),
            ]
        ),
    )
    def fail(self, data: st.DataObject, outcome: tuple[MessageStatus, timedelta | None, bool]) -> None:
        status, wait, counts = outcome
        message = self.draw_held(data)
        now = self.clock.now()
        due_at = now + wait if wait else None
        failure = Failure(now, message.attempts, "step", "transient", "test.failed", "It failed.", "Look at it.")
        for _ in range(2):  # a second time, as after a lost answer
            self.queue.fail(Outcome(message, status, "step", failure, due_at=due_at, is_charged=counts))
        expected = self.model[message.key]
        expected.status, expected.due_at = status, due_at
        expected.attempts -= 0 if counts else 1
        self.forget(message)

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        worker = self.draw_holder(data)
        self.queue.release(list(self.held[worker].values()))
        for key in list(self.held[worker]):
            expected = self.model[key]
            expected.status, expected.due_at = MessageStatus.ENQUEUED, self.clock.now()
            expected.attempts -= 1
            self.zombies.append(self.held[worker].pop(key))

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        worker = self.draw_holder(data)
        self.zombies.extend(self.held[worker].values())
        self.held[worker].clear()

    @precondition(lambda self: any(self.held.values()) or self.zombies)
    @rule(worker=st.sampled_from(["one", "two"]))
    def leases_end_and_another_worker_takes_over(self, worker: str) -> None:
        self.clock.pass_time(LEASE.total_seconds() + 1)
        self.claim(worker)

    @precondition(lambda self: self.model)
    @rule(seconds=st.sampled_from([1.0, 16.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.pass_time(seconds)

    @precondition(lambda self: self.zombies)
    @rule(data=st.data(), write=st.sampled_from(["step", "finish", "fail"]))
    def zombie_writes(self, data: st.DataObject, write: str) -> None:
        zombie = data.draw(st.sampled_from(self.zombies))
        expected = self.model[zombie.key]
        if expected.status is MessageStatus.PROCESSING and expected.fence == zombie.fence:
            return  # nobody has taken over yet: the lease may have ended, but the message is still its own
        before = self.stored(zombie.key)
        failure = Failure(self.clock.now(), 1, "step", "transient", "test.failed", "It failed.", "Look at it.")
        writes: dict[str, Callable[[], None]] = {
            "step": lambda: self.queue.record_steps(zombie, {"zombie": step_record(self.clock, zombie)}),
            "finish": lambda: refuse_lost(self.queue.finish([Outcome(zombie, MessageStatus.PROCESSED)], HOLD)),
            "fail": lambda: self.queue.fail(Outcome(zombie, MessageStatus.DEAD, "step", failure)),
        }
        with pytest.raises(LeaseLostError):
            writes[write]()
        assert self.stored(zombie.key) == before

    # Relay and operators

    @precondition(lambda self: any(expected.finished and not expected.paid for expected in self.model.values()))
    @rule()
    def relay_delivers(self) -> None:
        """The relay of another process delivers, after the hold of the process that settled the messages."""
        self.clock.pass_time(HOLD.total_seconds())
        claimed = self.effects.claim(100, HOLD)
        assert self.effects.claim(100, HOLD) == [], "held by the relay that claimed them"
        owing = {key for key, expected in self.model.items() if expected.finished and not expected.paid}
        assert {pending.key for pending in claimed} == owing
        for pending in [
            *claimed,
            *claimed,
        ]:  # a second time, as after a lost answer
            self.effects.acknowledge(pending, frozenset(), self.clock.now())
        for pending in claimed:
            self.model[pending.key].paid = True

    @precondition(lambda self: self.keys_with(MessageStatus.DEAD))
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.keys_with(MessageStatus.DEAD)))
        expected = self.model[key]
        assert self.queue.discard([Chosen(key, expected.generation + 1)], reason="test", asked_by="test") == 0
        assert self.queue.discard([Chosen(key, expected.generation)], reason="test", asked_by="test") == 1
        assert self.queue.discard([Chosen(key, expected.generation)], reason="test", asked_by="test") == 0
        expected.status = MessageStatus.DISCARDED

    @precondition(lambda self: self.keys_with(MessageStatus.DEAD, MessageStatus.DISCARDED))
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.keys_with(MessageStatus.DEAD, MessageStatus.DISCARDED)))
        expected = self.model[key]
        replay = partial(self.queue.replay, from_status=expected.status, reason="test", asked_by="test")
        assert replay([Chosen(key, expected.generation + 1)]) == 0
        assert replay([Chosen(key, expected.generation)]) == 1
        assert replay([Chosen(key, expected.generation)]) == 0
        expected.status, expected.due_at = MessageStatus.ENQUEUED, self.clock.now()
        expected.attempts, expected.generation = 0, expected.generation + 1

    # What must always hold

    @invariant()
    def the_queue_is_as_the_model_says(self) -> None:
        live = list(self.database.messages.find())
        moved = {document["_id"] for document in self.database.processed_messages.find({}, {"_id": 1})}
        by_key = {document["_id"]: document for document in live}
        self.nothing_is_lost_and_nothing_is_twice(by_key, moved)
        self.each_status_follows_the_one_before_as_the_table_says(by_key, moved)
        working = [each["orderingKey"] for each in live if each["status"] == MessageStatus.PROCESSING.value]
        assert len(working) == len(set(working)), "one message of a case is in work"

    def each_status_follows_the_one_before_as_the_table_says(self, live: dict[str, Document], moved: set[str]) -> None:
        now = {key: MessageStatus(live[key]["status"]) for key in self.model if key in live}
        now |= {key: MessageStatus.PROCESSED for key in self.model if key in moved}
        for key, status in now.items():
            before = self.statuses.get(key, MessageStatus.ENQUEUED)
            assert status is before or status in ALLOWED_NEXT[before], f"{before} → {status}"
        self.statuses = now

    def nothing_is_lost_and_nothing_is_twice(self, live: dict[str, Document], moved: set[str]) -> None:
        for key, expected in self.model.items():
            assert (key in moved) == bool(expected.finished)
            assert expected.finished <= 1
            if not expected.finished:
                document = live[key]
                assert document["status"] == expected.status
                assert document.get("dueAt") == expected.due_at
                assert (document["fence"], document["attempts"], document["generation"]) == (
                    expected.fence,
                    expected.attempts,
                    expected.generation,
                )

    # Helpers

    def keys_with(self, *statuses: MessageStatus) -> list[str]:
        return sorted(key for key, expected in self.model.items() if expected.status in statuses)

    def draw_holder(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from([name for name, held in self.held.items() if held]))

    def draw_held(self, data: st.DataObject) -> Message:
        held = sorted(key for holder in self.held.values() for key in holder)
        key = data.draw(st.sampled_from(held))
        return next(holder[key] for holder in self.held.values() if key in holder)

    def forget(self, message: Message) -> None:
        for holder in self.held.values():
            holder.pop(message.key, None)

    def stored(self, key: str) -> dict[str, object] | None:
        """A copy of a finished message does not count. Any process that finds it removes it."""
        return self.database.processed_messages.find_one({"_id": key}) or self.database.messages.find_one({"_id": key})


def refuse_lost(outcomes: list[Outcome]) -> None:
    if outcomes[0].status is None:
        raise LeaseLostError("lost")


def precedence(expected: Expected) -> tuple[bool, datetime]:
    return expected.status is not MessageStatus.PROCESSING, expected.enqueued_at


def new_message(key: str, case: str) -> NewMessage:
    return NewMessage(
        key, "wiseflow-begrunnelse", "uis.no", "test", case, f"correlation-{case}", {"n": 1}, exam_system="WISEFLOW"
    )


def step_record(clock: ManualClock, message: Message) -> StepRecord:
    return StepRecord(clock.now(), message.fence, 1, {"done": True})


def test_in_any_sequence_nothing_is_lost_and_nothing_is_done_twice(database: Database) -> None:
    MeldingQMachine.database = database
    run_state_machine_as_test(
        MeldingQMachine,
        settings=settings(
            # With the preconditions, 80 sequences of 30 are about 2,500 steps, in which 129 pairs of rules follow each other,
            # and 51 orders of rules are distinct. 150 of 50 without them: about 7,300 steps, 155 pairs, 82 orders. There are
            # fewer replays (3 for 30) and more discards (21 for 7).
            max_examples=80,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,  # the same sequences in every run; remove this line to explore others
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
