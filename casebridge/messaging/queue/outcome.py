"""The outcome of one attempt at a message. The settler passes it to the queue, the outbox and the counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from casebridge.database import Document
from casebridge.errors import CaseError
from casebridge.messaging.outbox.pending_effects import PendingEffects
from casebridge.messaging.queue.message import Failure, Message, MessageStatus, PendingEffect, is_effect

FINISHED = "finished"
"""The step in the outcome of an attempt that succeeded."""


@dataclass(frozen=True)
class Outcome:
    """The new status of a message, the step that the attempt reached, and the error if there was one."""

    message: Message
    status: MessageStatus | None
    """`None` if it is not settled here: the lease was lost, or the database was away. Another claim will settle it."""
    step: str = FINISHED
    failure: Failure | None = None
    error: CaseError | None = None
    """The error that `failure` describes."""
    due_at: datetime | None = None
    """When it is tried again. `None` if only a person can start it again."""
    is_charged: bool = True
    """Whether a failed attempt counts."""
    effects: tuple[PendingEffect, ...] = ()
    """What this outcome makes to be delivered. It is stored together with the new status."""
    dropped_results: Sequence[str] = ()
    """Paths of step results that are not kept after the flow is done."""
    pending_effects: PendingEffects | None = None
    """What the relay of this process may deliver at once. Set if this call finished the message."""

    @property
    def is_dead(self) -> bool:
        return self.status is MessageStatus.DEAD

    @property
    def code(self) -> str | None:
        return self.failure.code if self.failure and self.status is not None else None

    @property
    def all_effects(self) -> tuple[Document, ...]:
        """The effects of this outcome, after earlier ones of the message, such as the alert of its third attempt."""
        earlier = [effect for effect in self.message.stored.get("effects", ()) if is_effect(effect)]
        return (*earlier, *(effect.document() for effect in self.effects))

    def pending(self, now: datetime, held_until: float) -> PendingEffects | None:
        """All its effects, for the relay of this process, which holds them until `held_until`. `None` if there are none."""
        if not (effects := self.all_effects):
            return None
        message = self.message
        return PendingEffects(
            message.key,
            message.correlation_id,
            now,
            effects,
            processed=True,
            held_until=held_until,
            institution=message.institution,
            org_id=message.org_id,
            queue=message.queue,
        )

    def processed_document(self, now: datetime, relay_after: timedelta) -> Document:
        """The document for `oai.meldingQProcessed`. Other relays may claim its effects after `relay_after`."""
        message = self.message
        document = {name: value for name, value in message.stored.items() if name not in ("dueAt", "owner", "claim")}
        steps = {name: step.document() for name, step in message.steps.items()}
        for path in self.dropped_results:
            _drop(steps, path.split("."))
        document |= {
            "status": MessageStatus.PROCESSED.value,
            "steps": steps,
            "finishedAt": now,
            "settledFence": message.fence,
            "effects": list(self.all_effects),
        }
        if malformed := [effect for effect in message.stored.get("effects", ()) if not is_effect(effect)]:
            document |= {"undelivered": malformed, "undeliveredAt": now}
        if document["effects"]:
            document["effectsDueAt"] = now + relay_after
        return document


def _drop(values: Document, path: Sequence[str]) -> None:
    *parents, last = path
    for parent in parents:
        values = values.get(parent, {})
    values.pop(last, None)
