"""How the contract suite calls MeldingQ: the one place that knows the signatures of its methods.

The tests say what a queue owes whoever uses it. What they look at is what stands in the two collections.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from casebridge.clock import Clock
from casebridge.database import Database
from casebridge.errors import LeaseLostError
from casebridge.messaging.meldingq import MeldingQ
from casebridge.messaging.message import Failure, Message, MessageStatus, NewMessage, OwedEffect, StepRecord
from tests.manual_clock import ManualClock

LEASE: Final = timedelta(seconds=60)
HOLD: Final = timedelta(seconds=30)
QUEUE: Final = "wiseflow-begrunnelse"
EVERYTHING: Final = 1000


def new_message(key: str, case: str | None = None) -> NewMessage:
    """A message of a case of its own, unless a case is named."""
    case = case or f"case of {key}"
    return NewMessage(
        key, QUEUE, "uis.no", "test", "WISEFLOW", case, f"correlation of {case}", {"text": f"text of {key}"}
    )


@dataclass(frozen=True)
class Stored:
    """A message as it stands in the database: its document, and whether it has left the live queue."""

    document: dict[str, Any]
    processed: bool


class QueueCalls:
    """One user of the queue, with a clock of its own unless it shares one."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self.database = database
        self.clock = clock or ManualClock()
        self._queue = MeldingQ(database, self.clock, LEASE)

    def pass_time(self, span: timedelta) -> None:
        assert isinstance(self.clock, ManualClock)
        self.clock.pass_time(span.total_seconds())

    def accept(self, *messages: NewMessage) -> list[str]:
        """The keys that were new."""
        return self._queue.accept(messages)

    def claim(self, owner: str = "worker", limit: int = EVERYTHING) -> dict[str, Message]:
        return {message.key: message for message in self._queue.claim(owner, limit)}

    def claim_one(self, key: str, owner: str = "worker") -> Message:
        """Claim what is due; it must be this message alone."""
        claimed = self.claim(owner)
        assert list(claimed) == [key]
        return claimed[key]

    def keep(self, owner: str, *messages: Message) -> None:
        self._queue.keep(owner, [message.key for message in messages])

    def record_step(self, message: Message, name: str) -> None:
        self._queue.record_step(message, name, self._step(message, name))

    def finish(self, message: Message, *effect_ids: str) -> bool:
        """Finish with a step `last`, and forget what the step `secret` found; false when somebody else has taken over."""
        effects = [OwedEffect(effect_id, "log_index", {"about": message.correlation_id}) for effect_id in effect_ids]
        last = {"last": self._step(message, "last")}
        forget = ("secret.result",) if "secret" in message.steps else ()
        try:
            self._queue.finish(message, last, effects, forget, HOLD)
        except LeaseLostError:
            return False
        return True

    def fail(
        self, message: Message, status: MessageStatus, wait: timedelta | None = None, *, counts: bool = True
    ) -> None:
        now = self.clock.now()
        failure = Failure(now, message.attempts, "a step", "transient", "test.failed", "It failed.", "Look at it.")
        self._queue.fail(message, status, now + wait if wait is not None else None, failure, [], counts=counts)

    def release(self, *messages: Message) -> None:
        self._queue.release(messages)

    def replay(self, *keys: str) -> int:
        return self._queue.replay(keys, reason="the cause is gone", asked_by="an operator")

    def claim_owing(self) -> dict[str, list[str]]:
        """For a relay: which messages owe what, held from other relays; the ids of the effects by message."""
        owing = self._queue.claim_owing(EVERYTHING, HOLD)
        return {document["_id"]: [effect["id"] for effect in document["effects"]] for document in owing}

    def settle(self, keys: Sequence[str]) -> None:
        """For a relay: what these processed messages owed is delivered; they leave the live queue."""
        self._queue.move_processed(list(self.database.messages.find({"_id": {"$in": list(keys)}})))

    def relieve(self) -> dict[str, list[str]]:
        """Be the relay of another process: when its time has come, deliver all that is owed; return what that was."""
        self.pass_time(HOLD)
        owing = self.claim_owing()
        self.settle(list(owing))
        return owing

    def stored(self, key: str) -> Stored | None:
        """Where a message is. One that stands in both collections is in the middle of leaving the live queue."""
        if processed := self.database.processed_messages.find_one({"_id": key}):
            assert not self.database.messages.count_documents({"_id": key})
            return Stored(processed, processed=True)
        live = self.database.messages.find_one({"_id": key})
        return Stored(live, processed=live["status"] == MessageStatus.PROCESSED.value) if live else None

    def document(self, key: str) -> dict[str, Any]:
        found = self.stored(key)
        assert found is not None
        return found.document

    def due_at(self, key: str) -> datetime | None:
        return self.document(key).get("dueAt")

    def forget_everything(self) -> None:
        for collection in (self.database.messages, self.database.processed_messages, self.database.received_keys):
            collection.delete_many({})

    def _step(self, message: Message, name: str) -> StepRecord:
        return StepRecord(self.clock.now(), message.fence, 1, {"came": f"out of {name}"})
