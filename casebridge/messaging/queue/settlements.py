"""Settlements: the writes that say what became of a claimed message. Each of them names the fence of the claim.

A worker that lost its lease finds that its write matches nothing, and learns it by `LeaseLostError` or from the outcome. If the
answer to a write was lost on the way, `settledFence` tells whether the write was ours; so each is right when applied twice.
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
        """Write down what steps came to, before the next one begins. Raises `LeaseLostError`."""
        message.steps.update(steps)
        # The lease is the heartbeat's work: a step's record touches no index, which halves its cost on some servers.
        self._change(message, {"$set": _steps_written(message, steps)})
        message.assumed.pop("steps", None)  # from now on there is a document

    def finish(self, outcomes: Sequence[Outcome], relay_after: timedelta) -> list[Outcome]:
        """The flows of these messages are done: insert them among the processed ones, then remove them here.

        The insert is the change of state: the effects stand in the same document. `relay_after` is how long the relay of this
        process has before any other may deliver them. Returns the same outcomes, with two things added:

        - `status` is `None` where another worker has taken over;
        - `pending_effects` holds what was written by this very call. Of a message that stood there already, because the answer
          to an earlier try was lost, nobody knows for how long: another relay may be delivering it, and finds it by itself.
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
        """The keys of those that are no longer held under the fence of their claim.

        A worker that freezes between this read and its write, until another has taken over, still writes what is true: all steps
        are done. The worker that holds the message by then finds it among the processed ones.
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
        """The attempt came to nothing: `failed` and due again, `dead`, or back to `enqueued` at no cost.

        The steps that it did stay done. Raises `LeaseLostError`.
        """
        message = outcome.message
        status = target(Action.FAIL, outcome.status)
        if outcome.failure is None:
            raise ValueError("an outcome that failed says why")
        if outcome.is_dead and self.without_resurrected([message.stored]) == []:
            raise LeaseLostError(message.correlation_id)  # a worker that had been frozen has finished it meanwhile
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
                change["$set"]["effects"] = effects  # what stands there is no list
            else:
                change["$push"] = {"effects": {"$each": effects}}
        self._change(message, change)

    def mark_dead(self, message: Message) -> None:
        """Dead, with nothing said: for a message whose document takes no failure. The caller alerts people first.

        Raises `LeaseLostError`.
        """
        self._change(message, SMALLEST_DEATH)

    def _change(self, message: Message, change: Document) -> None:
        held = {"_id": message.key, "fence": message.fence, "status": source(Action.FAIL)}
        result = self._messages.update_one(held, change)
        if result.matched_count == 0 and not self._already_settled(message):
            raise LeaseLostError(message.correlation_id)

    def _already_settled(self, message: Message) -> bool:
        """Whether the change was ours and had been applied before its answer was lost on the way."""
        document = self._messages.find_one({"_id": message.key}, {"settledFence": 1})
        if document is None:
            document = self._processed.find_one({"_id": message.key}, {"settledFence": 1})
        return document is not None and document.get("settledFence") == message.fence


def _steps_written(message: Message, steps: Mapping[str, StepRecord]) -> Document:
    """What a write sets: these steps. All of them as a whole where no document stands: there is no path into it."""
    if "steps" in message.assumed:
        return {"steps": {name: step.document() for name, step in message.steps.items()}}
    return {f"steps.{name}": step.document() for name, step in steps.items()}
