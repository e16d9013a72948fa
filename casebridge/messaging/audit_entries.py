"""The audit entries of a message: that it came, each step that is done, each attempt that failed.

Only their content is here. When they are written is the settler's decision.
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
    """An entry for every step that is done, also those of earlier attempts whose worker died before it could write them.

    - A step that changes something outside is done once in a message's life, whatever attempts and replays come after. So its
      name makes its entry unique.
    - A read-only step is done anew by each attempt, and may find something else. So each run has an entry.
    """
    fields = fields_of(flow, message)
    read_only = {step.name for step in flow.steps if step.read_only}
    received = _entry(message, _id_of(message, "received"), message.enqueued_at, "received", fields)
    steps = [
        _entry(
            message,
            _id_of(message, *(read_only_run(name, step.fence) if name in read_only else (name,))),
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
    """The fields that the flow knows of its message; none of a message that it cannot read: that is audited, too."""
    if flow is None:
        return {}
    try:
        return flow.audit_fields(message)
    except BaseException as error:
        if is_away(error):
            raise
        log_defect(error)
        return {}


def read_only_run(name: str, fence: int) -> tuple[object, ...]:
    """What sets the entry of one run of a read-only step apart from the next: the claim in which it ran, from the second on.

    The first one bears the bare name, as all did in earlier versions: theirs are not written once more.
    """
    return (name, fence) if fence > FIRST_CLAIM else (name,)


def entry_id(correlation_id: str, key: str, *place: object) -> str:
    """Derived from what the entry is about. It begins with the correlation id: entries of one time then lie together."""
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
