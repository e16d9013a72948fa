"""What the audit is told of a message: that it came, each step that is done, each attempt that failed.

Only the wording of entries belongs here; when they are written is the worker's decision.
"""

from datetime import datetime
from typing import Any, Final

from casebridge.audit.entry import AuditEntry
from casebridge.database_faults import is_away
from casebridge.defect import log_defect
from casebridge.messaging.flow.flow import Flow
from casebridge.messaging.queue.message import Message
from casebridge.messaging.queue.outcome import Outcome

WITHHELD: Final = frozenset({"text", "registeredFor"})
"""Results that the audit must not keep: the text of an answer, and fingerprints of who the student is."""

FIRST_CLAIM: Final = 1
"""The fence of a message that was claimed once."""


def done(message: Message, flow: Flow) -> list[AuditEntry]:
    """An entry for every step that is done, also those of earlier attempts whose worker died before it could tell.

    What changes something outside is done once in a message's life, whatever attempts and replays come after, so its name
    makes its entry unique. What only looks is done anew by each attempt, and may find something else: each look is told of.
    """
    fields = fields_of(flow, message)
    looks = {step.name for step in flow.steps if step.read_only}
    received = _entry(message, _id_of(message, "received"), message.enqueued_at, "received", fields)
    steps = [
        _entry(
            message,
            _id_of(message, *(look(name, step.fence) if name in looks else (name,))),
            step.at,
            name,
            fields,
            duration_ms=step.milliseconds,
            attempt=message.attempts,
            detail={key: value for key, value in step.result.items() if key not in WITHHELD},
        )
        for name, step in message.steps.items()
    ]
    return [received, *steps]


def failed(outcome: Outcome, flow: Flow | None) -> AuditEntry:
    """The entry of one failed attempt. The fence keeps attempts apart that cost nothing and so bear the same number."""
    message, failure = outcome.message, outcome.failure
    if failure is None:
        raise ValueError("only a failed attempt has a failure")
    return _entry(
        message,
        _id_of(message, message.fence, failure.step, "failed"),
        failure.at,
        failure.step,
        fields_of(flow, message),
        success=False,
        error_message=f"{failure.cause} {failure.next_action}",
        code=failure.code,
        attempt=message.attempts,
    )


def fields_of(flow: Flow | None, message: Message) -> dict[str, Any]:
    """What the flow's messages can tell; nothing of one that it does not understand: it must be told."""
    if flow is None:
        return {}
    try:
        return flow.audit_fields(message)
    except BaseException as error:
        if is_away(error):
            raise
        log_defect(error)
        return {}


def look(name: str, fence: int) -> tuple[object, ...]:
    """What sets one look's entry apart from the next one's: the claim in which it was made, from the second one on.

    The first one bears the bare name, as all looks did in earlier versions: theirs are not told of once more.
    """
    return (name, fence) if fence > FIRST_CLAIM else (name,)


def entry_id(correlation_id: str, key: str, *place: object) -> str:
    """Derived from what the entry tells of; begins with the correlation id, because entries of one time then lie together."""
    return ":".join((correlation_id, key, *map(str, place)))


def _id_of(message: Message, *place: object) -> str:
    return entry_id(message.correlation_id, message.key, *place)


def _entry(
    message: Message,
    entry_id: str,
    time: datetime,
    step: str,
    fields: dict[str, Any],
    *,
    success: bool = True,
    **more: Any,
) -> AuditEntry:
    return AuditEntry(
        id=entry_id,
        time=time,
        correlation_id=message.correlation_id,
        org_id=message.org_id,
        env=message.env,
        exam_system=message.exam_system,
        submodule=message.queue,
        step=step,
        success=success,
        fields=fields,
        **more,
    )
