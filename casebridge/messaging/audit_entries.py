"""The audit entries of a message: one for its arrival, one for each step that is done, and one for each attempt that failed.

Only their content is here. The settler decides when they are written.
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
"""Results that the audit must not keep: the text of an answer, and fingerprints that identify the student."""

FIRST_CLAIM: Final = 1
"""The fence of a message that was claimed once."""


def done(message: Message, flow: Flow) -> list[AuditEntry]:
    """An entry for the arrival and for every step that is done.

    Steps of earlier attempts are included: their worker may have died before it wrote the entries.

    - A step that changes something outside is done once for a message, however many attempts and replays follow. So its name
      makes its entry unique.
    - A read-only step is repeated by each attempt, and may find something else. So each run has an entry.
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
    """The entry of one failed attempt. Attempts that are not charged have the same number; the fence tells them apart.

    Raises `ValueError` if the outcome has no failure.
    """
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
    """The fields that the flow adds to the entries of a message. Empty if the flow cannot read the message.

    Raises the driver's errors while the database is away.
    """
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
    """The part of an entry's id that tells the runs of a read-only step apart: the fence of the claim, from the second claim on.

    The first run has the name alone, as every run had in earlier versions. So their entries are not written again.
    """
    return (name, fence) if fence > FIRST_CLAIM else (name,)


def entry_id(correlation_id: str, key: str, *place: object) -> str:
    """The id of an entry, derived from its subject. It begins with the correlation id: so entries of one time are neighbours."""
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
