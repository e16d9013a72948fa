"""A message whose flow is done: what is kept of it, and what it owes from then on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from casebridge.database import Document
from casebridge.messaging.outbox.pending_effects import PendingEffects
from casebridge.messaging.queue.message import Message, MessageStatus, PendingEffect, is_effect


@dataclass(frozen=True)
class Finished:
    """A message whose flow is done, and what is to be kept of it."""

    message: Message
    effects: Sequence[PendingEffect] = ()
    dropped_results: Sequence[str] = ()
    """Paths of step results that are no longer needed."""

    @property
    def owed(self) -> tuple[Document, ...]:
        """What it owes from now on; what it owed before, such as the alert of its third attempt, it may owe still."""
        before = [effect for effect in self.message.stored.get("effects", ()) if is_effect(effect)]
        return (*before, *(effect.document() for effect in self.effects))

    def pending_effects(self, now: datetime, held_until: float) -> PendingEffects:
        message = self.message
        return PendingEffects(
            message.key,
            message.correlation_id,
            now,
            self.owed,
            processed=True,
            held_until=held_until,
            institution=message.institution,
            org_id=message.org_id,
            queue=message.queue,
        )


@dataclass(frozen=True)
class FinishResult:
    """What became of messages whose flows are done."""

    lost: set[str]
    """The keys of those that another worker has taken over."""
    pending_effects: list[PendingEffects]
    """What those owe that were written by this very call. Of one that stood there already, because the answer to an earlier try
    was lost, nobody can tell how long ago: another relay may be at it, and finds it by itself."""


def processed_document(finished: Finished, now: datetime, relay_after: timedelta) -> Document:
    """The document of `oai.meldingQProcessed`; what it owes is first looked for by another relay after `relay_after`."""
    message = finished.message
    document = {name: value for name, value in message.stored.items() if name not in ("dueAt", "owner", "claim")}
    steps = {name: step.document() for name, step in message.steps.items()}
    for path in finished.dropped_results:
        _drop(steps, path.split("."))
    document |= {
        "status": MessageStatus.PROCESSED.value,
        "steps": steps,
        "finishedAt": now,
        "settledFence": message.fence,
        "effects": list(finished.owed),
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
