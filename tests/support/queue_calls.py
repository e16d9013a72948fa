"""How the contract suite calls MeldingQ. Only this module knows the signatures of its methods.

The tests say what users of a queue can rely on. They check the documents in the two collections.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from casebridge.clock import Clock
from casebridge.database import Database
from casebridge.messaging.outbox.pending_effects import PendingEffects, PendingEffectStore
from casebridge.messaging.queue.interventions import Chosen
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Failure, Message, MessageStatus, NewMessage, PendingEffect, StepRecord
from casebridge.messaging.queue.outcome import Outcome
from tests.support.manual_clock import ManualClock

LEASE: Final = timedelta(seconds=60)
HOLD: Final = timedelta(seconds=30)
QUEUE: Final = "wiseflow-begrunnelse"
EVERYTHING: Final = 1000


def new_message(key: str, case: str | None = None, exam_system: str = "WISEFLOW") -> NewMessage:
    """A new message. It has a case of its own unless a case is given."""
    case = case or f"case of {key}"
    payload = {"text": f"text of {key}"}
    return NewMessage(key, QUEUE, "uis.no", "test", case, f"correlation of {case}", payload, exam_system=exam_system)


def _effects(message: Message, effect_ids: Sequence[str]) -> tuple[PendingEffect, ...]:
    return tuple(PendingEffect(effect_id, "log_index", {"about": message.correlation_id}) for effect_id in effect_ids)


def effects_of(pending_effects: Sequence[PendingEffects]) -> dict[str, list[str]]:
    """The ids of the pending effects, by message."""
    return {pending.key: [effect["id"] for effect in pending.effects] for pending in pending_effects}


@dataclass(frozen=True)
class Stored:
    """A message in the database: its document, and whether it has left the live queue."""

    document: dict[str, Any]
    processed: bool


class QueueCalls:
    """One user of the queue, with a clock of its own unless one is given."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self.database = database
        self.clock = clock or ManualClock()
        self._queue = MeldingQ(database, self.clock, LEASE)
        self._effects = PendingEffectStore(database, self.clock)

    def pass_time(self, span: timedelta) -> None:
        assert isinstance(self.clock, ManualClock)
        self.clock.pass_time(span.total_seconds())

    def accept(self, *messages: NewMessage) -> list[str]:
        """Accept messages. Returns the keys that were new."""
        return self._queue.accept(messages)

    def claim(self, owner: str = "worker", limit: int = EVERYTHING) -> dict[str, Message]:
        return {message.key: message for message in self._queue.claim(owner, limit)}

    def claim_one(self, key: str, owner: str = "worker") -> Message:
        """Claim what is due. It must be this message alone."""
        claimed = self.claim(owner)
        assert list(claimed) == [key]
        return claimed[key]

    def begin_isolated(self, message: Message) -> None:
        self._queue.begin_isolated(message)

    def keep(self, owner: str, *messages: Message) -> None:
        self._queue.keep(owner, messages)

    def record_step(self, message: Message, name: str) -> None:
        self._queue.record_steps(message, {name: self._step(message, name)})

    def finish(self, message: Message, *effect_ids: str) -> bool:
        """Finish with a step `last`, and drop the result of the step `secret`. False if the claim was lost."""
        return self.move(message, *effect_ids).status is not None

    def move(self, message: Message, *effect_ids: str) -> Outcome:
        """Finish in the same way. Returns the outcome."""
        message.steps["last"] = self._step(message, "last")
        outcome = Outcome(
            message,
            MessageStatus.PROCESSED,
            effects=_effects(message, effect_ids),
            dropped_results=("secret.result",),
        )
        (settled,) = self._queue.finish([outcome], HOLD)
        return settled

    def fail(
        self,
        message: Message,
        status: MessageStatus,
        wait: timedelta | None = None,
        *,
        counts: bool = True,
        effect_ids: Sequence[str] = (),
    ) -> None:
        now = self.clock.now()
        failure = Failure(now, message.attempts, "a step", "transient", "test.failed", "It failed.", "Look at it.")
        due_at = now + wait if wait is not None else None
        self._queue.fail(
            Outcome(
                message,
                status,
                "a step",
                failure,
                due_at=due_at,
                is_charged=counts,
                effects=_effects(message, effect_ids),
            )
        )

    def release(self, *messages: Message) -> None:
        self._queue.release(messages)

    def replay(self, *keys: str, from_status: MessageStatus = MessageStatus.DEAD) -> int:
        """Replay as an operator who sees the messages as they are now."""
        return self._queue.replay(
            self._generations(keys), from_status=from_status, reason="the cause is gone", asked_by="an operator"
        )

    def discard(self, *keys: str) -> int:
        """Discard as an operator who sees the messages as they are now."""
        return self._queue.discard(self._generations(keys), reason="settled by telephone", asked_by="an operator")

    def replay_as(self, key: str, generation: Any, from_status: MessageStatus) -> int:
        """Replay as an operator who has seen the message with this generation, right or wrong."""
        return self._queue.replay(
            [Chosen(key, generation)], from_status=from_status, reason="a try", asked_by="an operator"
        )

    def discard_as(self, key: str, generation: Any) -> int:
        return self._queue.discard([Chosen(key, generation)], reason="a try", asked_by="an operator")

    def _generations(self, keys: Sequence[str]) -> list[Chosen]:
        found = self.database.messages.find({"_id": {"$in": list(keys)}}, {"generation": 1})
        generations = {**dict.fromkeys(keys, 1), **{document["_id"]: document["generation"] for document in found}}
        return [Chosen(key, generation) for key, generation in generations.items()]

    def lanes(self) -> set[Lane]:
        """The lanes in which messages are due or will be."""
        return self._queue.lanes.search()

    def claim_pending(self) -> list[PendingEffects]:
        """Claim the pending effects as a relay, so that no other relay takes them."""
        return self._effects.claim(EVERYTHING, HOLD)

    def acknowledge(self, pending_effects: Sequence[PendingEffects]) -> None:
        """Say as a relay that all of these are delivered."""
        for pending in pending_effects:
            self._effects.acknowledge(pending, frozenset(), self.clock.now() + HOLD)

    def deliver_pending(self) -> list[PendingEffects]:
        """Wait for the end of all holds, then deliver all pending effects as the relay of another process. Returns them."""
        self.pass_time(HOLD)
        pending_effects = self.claim_pending()
        self.acknowledge(pending_effects)
        return pending_effects

    def stored(self, key: str) -> Stored | None:
        """The message in one of the two collections, never in both."""
        live = self.database.messages.find_one({"_id": key})
        processed = self.database.processed_messages.find_one({"_id": key})
        assert not (live and processed)
        found = live or processed
        return Stored(found, processed=processed is not None) if found else None

    def document(self, key: str) -> dict[str, Any]:
        found = self.stored(key)
        assert found is not None
        return found.document

    def due_at(self, key: str) -> datetime | None:
        return self.document(key).get("dueAt")

    def delete_everything(self) -> None:
        for collection in (self.database.messages, self.database.processed_messages, self.database.received_keys):
            collection.delete_many({})

    def _step(self, message: Message, name: str) -> StepRecord:
        return StepRecord(self.clock.now(), message.fence, 1, {"came": f"out of {name}"})
