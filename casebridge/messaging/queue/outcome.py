"""What became of one attempt at a message: the one value that goes from the settler to the queue, the outbox and the counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from casebridge.database import Document
from casebridge.errors import CaseError
from casebridge.messaging.outbox.pending_effects import PendingEffects
from casebridge.messaging.queue.message import Failure, Message, MessageStatus, PendingEffect, is_effect

FINISHED = "finished"
"""The step of an attempt that came to its end."""


@dataclass(frozen=True)
class Outcome:
    """The new status of a message, the step that the attempt came to, and what went wrong, if anything did."""

    message: Message
    status: MessageStatus | None
    """`None`: not settled here. The lease was lost, or the database was away; another claim will bring it to its end."""
    step: str = FINISHED
    failure: Failure | None = None
    error: CaseError | None = None
    """What `failure` was made of."""
    due_at: datetime | None = None
    """When it is tried again. `None`: never by itself."""
    is_charged: bool = True
    """Whether a failed attempt counts."""
    effects: tuple[PendingEffect, ...] = ()
    """What is to be delivered to the outside because of this outcome; written together with the new status."""
    dropped_results: Sequence[str] = ()
    """Of a finished flow: paths of step results that are no longer needed."""
    pending_effects: PendingEffects | None = None
    """Of a message that was finished by this very call: what the relay of this process may deliver at once."""

    @property
    def is_dead(self) -> bool:
        return self.status is MessageStatus.DEAD

    @property
    def code(self) -> str | None:
        return self.failure.code if self.failure and self.status is not None else None

    @property
    def all_effects(self) -> tuple[Document, ...]:
        """The effects of this outcome, and earlier ones of the message, such as the alert of its third attempt."""
        earlier = [effect for effect in self.message.stored.get("effects", ()) if is_effect(effect)]
        return (*earlier, *(effect.document() for effect in self.effects))

    def pending(self, now: datetime, held_until: float) -> PendingEffects | None:
        """Its effects for the relay of this process, which holds them until `held_until`; `None` if there are none."""
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
        """The document of `oai.meldingQProcessed`. Another relay looks for its effects after `relay_after` at the earliest."""
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
        if odd := [effect for effect in message.stored.get("effects", ()) if not is_effect(effect)]:
            document |= {"undelivered": odd, "undeliveredAt": now}
        if document["effects"]:
            document["effectsDueAt"] = now + relay_after
        return document


def _drop(values: Document, path: Sequence[str]) -> None:
    *parents, last = path
    for parent in parents:
        values = values.get(parent, {})
    values.pop(last, None)
