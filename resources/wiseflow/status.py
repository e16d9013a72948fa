"""The status of an explanation request of WISEflow, as a poll sees it, and the marker that changes with the answer."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from casebridge.exams.models import ExplanationState, ExplanationStatus
from casebridge.fingerprint import short_hash
from resources.wiseflow.flow_matching import ListedComment, choose_comment
from resources.wiseflow.records import (
    ACCEPTED,
    SUBMITTED,
    Explanation,
    SubmissionComment,
    UnreadableComment,
    UnreadableExplanation,
)

KNOWN_STATES: Final = frozenset({0, 1, SUBMITTED, ACCEPTED})
"""Requested, assigned, submitted, accepted (contract 4.2)."""


@dataclass(frozen=True)
class WiseflowStatus(ExplanationStatus):
    """A status with further fields that are only for error messages to people."""

    raw_state: int = -1
    in_comments: bool = False
    """Whether the unreadable thing is a comment. If not, it is the request's own row."""


def state_of(raw_state: int, answer_state: int) -> ExplanationState:
    """The state in the engine's terms (contract 6.1).

    An accepted answer always goes to FS. A submitted one goes there only if the institution's `answer_state` says so.
    """
    if raw_state not in KNOWN_STATES:
        return ExplanationState.UNKNOWN
    return ExplanationState.READY if raw_state >= answer_state else ExplanationState.AWAITED


def unreadable_status(flow_id: int, row: UnreadableExplanation | UnreadableComment) -> WiseflowStatus:
    """The status of a row that cannot be read, with the fields that are known."""
    request_id = row.explanation_id if isinstance(row, UnreadableExplanation) else None
    return WiseflowStatus(
        str(flow_id),
        None if request_id is None else str(request_id),
        ExplanationState.UNREADABLE,
        row.identity,
        in_comments=isinstance(row, UnreadableComment),
    )


def status_of(
    flow_id: int,
    explanation: Explanation,
    comments: Iterable[ListedComment],
    submission_id: int | None,
    answer_state: int,
) -> WiseflowStatus:
    """The status of one request, with the comments of its flow. Never raises: if a comment causes an error, it is unreadable."""
    try:
        comment = _comment(explanation, comments, submission_id)
        marker = _hash(explanation, comment)
    except Exception:  # noqa: BLE001 an error in a comment concerns this answer only
        unreadable = UnreadableExplanation.of({"explanationId": explanation.explanation_id, "state": explanation.state})
        return replace(unreadable_status(flow_id, unreadable), in_comments=True)
    return WiseflowStatus(
        str(flow_id),
        str(explanation.explanation_id),
        state_of(explanation.state, answer_state),
        marker,
        needs_own_read=explanation.state in {SUBMITTED, ACCEPTED} and not (explanation.text or comment),
        raw_state=explanation.state,
    )


def marker_of(explanation: Explanation, comments: Iterable[ListedComment], submission_id: int | None) -> str:
    """The marker of an answer. It changes whenever the answer may have changed."""
    return _hash(explanation, _comment(explanation, comments, submission_id))


def _comment(explanation: Explanation, comments: Iterable[ListedComment], own: int | None) -> SubmissionComment | None:
    return choose_comment(explanation, comments, own) if explanation.state >= SUBMITTED else None


def _hash(explanation: Explanation, comment: SubmissionComment | None) -> str:
    return short_hash(
        explanation.state,
        explanation.assign_date,
        explanation.accept_date,
        explanation.text,
        comment.comment_id if comment else None,
        comment.changed_at if comment else None,
        # Times have whole seconds, so an edit within the same second changes only the content.
        comment.content if comment else None,
    )
