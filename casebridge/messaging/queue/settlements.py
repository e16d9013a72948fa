"""Settlements: the writes that store what became of a claimed message. Each of them filters on the fence of the claim.

- If a worker has lost its lease, its write matches nothing. It sees this by `LeaseLostError` or in the outcome.
- If the answer to a write was lost, `settledFence` says whether the write was ours. So each write may be applied twice.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from casebridge.crash_points import crash_point
from casebridge.database import Document, insert_absent
from casebridge.errors import LeaseLostError
from casebridge.messaging.queue.malformed_documents import SMALLEST_DEATH
from casebridge.messaging.queue.message import Message, StepRecord
from casebridge.messaging.queue.outcome import Outcome
from casebridge.messaging.queue.storage import QueueStorage
from casebridge.messaging.queue.transitions import Action, source, target

KEPT_ERRORS: Final = 20


class Settlements(QueueStorage):
    """Part of `MeldingQ`."""

    def record_steps(self, message: Message, steps: Mapping[str, StepRecord]) -> None:
        """Store the results of steps, before the next step begins. Raises `LeaseLostError` if another worker has the message."""
        message.steps.update(steps)
        # This does not renew the lease; the heartbeat does. So no index changes, which halves the cost on some servers.
        self._change(message, {"$set": _steps_written(message, steps)})
        message.assumed.pop("steps", None)  # the stored `steps` is a document now

    def finish(self, outcomes: Sequence[Outcome], relay_after: timedelta) -> list[Outcome]:
        """Finish messages whose flows are done: insert them into the processed messages, then remove them from the live queue.

        The insert is the change of state. The document has the effects, too. For the time `relay_after` only the relay of this
        process delivers them. Returns the same outcomes with two changes:

        - `status` is `None` if another worker has taken over.
        - `pending_effects` has what this call stored. It is not set if an earlier call stored the document and its answer was
          lost: then another relay may be delivering the effects, and finds them by itself.
        """
        held_until, now = time.monotonic() + relay_after.total_seconds(), self._clock.now()
        lost = self._lost([outcome.message for outcome in outcomes])
        ours = [outcome for outcome in outcomes if outcome.message.key not in lost]
        known = insert_absent(self._processed, [outcome.processed_document(now, relay_after) for outcome in ours])
        if ours:
            crash_point("settled")
            self._messages.delete_many({"_id": {"$in": [outcome.message.key for outcome in ours]}})
            crash_point("message_removed")
        return [
            replace(outcome, status=None)
            if (key := outcome.message.key) in lost
            else replace(outcome, pending_effects=pending)
            if key not in known and (pending := outcome.pending(now, held_until))
            else outcome
            for outcome in outcomes
        ]

    def _lost(self, messages: Sequence[Message]) -> set[str]:
        """The keys of messages that are no longer held under the fence of their claim.

        A worker may freeze between this read and its write, until another worker has taken over. Its write is still true: all
        steps are done. The other worker finds the message among the processed ones.
        """
        held = {
            document["_id"]: document.get("fence")
            for document in self._messages.find(
                {"_id": {"$in": [message.key for message in messages]}, "status": source(Action.FINISH)}, {"fence": 1}
            )
        }
        return {
            message.key
            for message in messages
            if held.get(message.key) != message.fence and not self._already_settled(message)
        }

    def fail(self, outcome: Outcome) -> None:
        """Store a failed attempt: `failed` and due again, `dead`, or back to `enqueued` without charging the attempt.

        Finished steps are kept. Raises `LeaseLostError` if another worker has the message.
        """
        message = outcome.message
        status = target(Action.FAIL, outcome.status)
        if outcome.failure is None:
            raise ValueError("an outcome that failed says why")
        if outcome.is_dead and self.without_resurrected([message.stored]) == []:
            raise LeaseLostError(message.correlation_id)  # a worker that was frozen has finished it meanwhile
        change: Document = {
            "$set": {
                **message.assumed,
                "status": status,
                "attempts": message.attempts if outcome.is_charged else message.attempts - 1,
                "errors": [*message.errors, outcome.failure.document()][-KEPT_ERRORS:],
                "settledFence": message.fence,
                **_steps_written(message, message.steps),
            },
            "$unset": {"owner": "", "claim": ""},
        }
        if outcome.due_at is None:
            change["$unset"]["dueAt"] = ""
        else:
            change["$set"]["dueAt"] = outcome.due_at
        if outcome.effects:
            change["$set"]["effectsDueAt"] = self._clock.now()
            effects = [effect.document() for effect in outcome.effects]
            if "effects" in message.assumed:
                change["$set"]["effects"] = effects  # the stored value is not a list
            else:
                change["$push"] = {"effects": {"$each": effects}}
        self._change(message, change)

    def mark_dead(self, message: Message) -> None:
        """Make a message dead without an error, because its document takes none. The caller must enqueue an alert first.

        Raises `LeaseLostError` if another worker has the message.
        """
        self._change(message, SMALLEST_DEATH)

    def _change(self, message: Message, change: Document) -> None:
        held = {"_id": message.key, "fence": message.fence, "status": source(Action.FAIL)}
        result = self._messages.update_one(held, change)
        if result.matched_count == 0 and not self._already_settled(message):
            raise LeaseLostError(message.correlation_id)

    def _already_settled(self, message: Message) -> bool:
        """Whether our change was applied before, and only its answer was lost."""
        document = self._messages.find_one({"_id": message.key}, {"settledFence": 1})
        if document is None:
            document = self._processed.find_one({"_id": message.key}, {"settledFence": 1})
        return document is not None and document.get("settledFence") == message.fence


def _steps_written(message: Message, steps: Mapping[str, StepRecord]) -> Document:
    """The fields that store these steps.

    If the stored `steps` is not a document, the whole field is set with all steps: there is no path into it.
    """
    if "steps" in message.assumed:
        return {"steps": {name: step.document() for name, step in message.steps.items()}}
    return {f"steps.{name}": step.document() for name, step in steps.items()}
