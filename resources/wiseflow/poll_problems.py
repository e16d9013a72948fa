"""Error messages about explanation requests that WISEflow lists but that no poll can follow."""

from collections.abc import Sequence
from typing import Final

from casebridge.errors import PermanentError
from casebridge.exams.external_id import in_order
from casebridge.exams.models import ExplanationStatus
from resources.wiseflow.places import SYSTEM
from resources.wiseflow.status import WiseflowStatus

NAMED: Final = 5
"""At most this many ids are named in a message."""


def not_followed(
    unknown: Sequence[ExplanationStatus], nameless: Sequence[ExplanationStatus], hidden: Sequence[ExplanationStatus]
) -> PermanentError | None:
    """The error about these requests; `None` if there are none. See `ExamSystem.not_followed`."""
    if unknown:
        return _unknown_state(_ours(unknown))
    return _not_seen(_ours(nameless), _ours(hidden)) if nameless or hidden else None


def _ours(statuses: Sequence[ExplanationStatus]) -> list[WiseflowStatus]:
    return [status for status in statuses if isinstance(status, WiseflowStatus)]


def named(ids: Sequence[object]) -> str:
    """The first ids as a text, and how many more there are."""
    more = f" and {len(ids) - NAMED} more" if ids[NAMED:] else ""
    return ", ".join(map(str, ids[:NAMED])) + more


def _unknown_state(unknown: Sequence[WiseflowStatus]) -> PermanentError:
    named = ", ".join(f"{status.explanation_request_id} (state {status.raw_state})" for status in unknown[:5])
    return PermanentError(
        "wiseflow.state_unknown",
        f"WISEflow reports a state that its documentation does not know: explanation request {named}.",
        "Look at the request in WISEflow and ask the vendor; the case stays open and is looked at with every poll.",
        system=SYSTEM,
    )


def _not_seen(nameless: Sequence[WiseflowStatus], hidden: Sequence[WiseflowStatus]) -> PermanentError:
    """The error about unreadable rows: rows without an id, and rows of answers that FS has and that may have been corrected."""
    problems = [_nameless(nameless, in_comments=False), _nameless(nameless, in_comments=True)]
    problems += [_hidden(hidden, in_comments=False), _hidden(hidden, in_comments=True)]
    first, *rest = [error for error in problems if error is not None]
    cause = " ".join(error.cause for error in (first, *rest))
    return PermanentError(first.code, cause, first.next_action, system=first.system)


def _nameless(statuses: Sequence[WiseflowStatus], *, in_comments: bool) -> PermanentError | None:
    flows = in_order({status.flow_id for status in statuses if status.in_comments is in_comments})
    if not flows:
        return None
    what = "submission comments" if in_comments else "explanation requests"
    which = "on what they are" if in_comments else "which they are"
    cause = f"WISEflow lists {what} that cannot be read and do not say {which}, on flow {named(flows)}."
    return _unread(cause, in_comments=in_comments)


def _hidden(statuses: Sequence[WiseflowStatus], *, in_comments: bool) -> PermanentError | None:
    unread = {(one.flow_id, one.explanation_request_id or "0") for one in statuses if one.in_comments is in_comments}
    found = [f"{request_id} on flow {flow_id}" for flow_id, request_id in sorted(unread, key=_by_number)]
    if not found:
        return None
    why = "a comment on the submission cannot be read" if in_comments else "its row cannot be read"
    return _unread(
        f"Of {len(found)} explanation requests that FS has the answer to, a correction would not be seen, because {why}: "
        f"{named(found)}.",
        in_comments=in_comments,
    )


def _by_number(one: tuple[str, str]) -> tuple[int, int]:
    return int(one[0]), int(one[1])


def _unread(cause: str, *, in_comments: bool) -> PermanentError:
    code = "wiseflow.comment_unreadable" if in_comments else "wiseflow.request_unreadable"
    listed = "submission comments" if in_comments else "explanation requests"
    return PermanentError(
        code,
        cause,
        f"Show the list of the flow's {listed} to the vendor; all others are carried, and the list is read with every poll.",
        system=SYSTEM,
    )
