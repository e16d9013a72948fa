"""How far an explanation request of WISEflow has come, as a poll sees it, and the marker by which a change is noticed."""

from collections.abc import Iterable
from dataclasses import replace
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

STATES: Final = {
    0: ExplanationState.REQUESTED,
    1: ExplanationState.ASSIGNED,
    SUBMITTED: ExplanationState.SUBMITTED,
    ACCEPTED: ExplanationState.ACCEPTED,
}


def unreadable_status(flow_id: int, row: UnreadableExplanation | UnreadableComment) -> ExplanationStatus:
    """What is known of a row that cannot be read."""
    request_id = row.explanation_id if isinstance(row, UnreadableExplanation) else None
    is_comment = isinstance(row, UnreadableComment)
    return ExplanationStatus(flow_id, request_id, ExplanationState.UNREADABLE, -1, row.identity, is_comment)


def status_of(
    flow_id: int, explanation: Explanation, comments: Iterable[ListedComment], submission_id: int | None
) -> ExplanationStatus:
    """The status of one request, with the comments of its flow. Never raises: what a comment brings out is its own."""
    try:
        comment = _comment(explanation, comments, submission_id)
        marker = _hash(explanation, comment)
    except Exception:  # noqa: BLE001 what a comment brings out is of this answer alone
        unreadable = UnreadableExplanation.of({"explanationId": explanation.explanation_id, "state": explanation.state})
        return replace(unreadable_status(flow_id, unreadable), in_comments=True)
    state, shown = STATES.get(explanation.state, ExplanationState.UNKNOWN), bool(explanation.text or comment)
    return ExplanationStatus(flow_id, explanation.explanation_id, state, explanation.state, marker, shows_answer=shown)


def marker_of(explanation: Explanation, comments: Iterable[ListedComment], submission_id: int | None) -> str:
    """Changes whenever the answer may have changed."""
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
        # times have whole seconds: an edit within the same second shows only here
        comment.content if comment else None,
    )
