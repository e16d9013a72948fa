"""Flows, participants, explanation requests and comments in WISEflow's form. A test changes the fields that it is about."""

from datetime import UTC, datetime
from typing import Any

from resources.wiseflow.records import Explanation, Flow, Participant, SubmissionComment

ASKED = 1_767_863_700
ANSWERED = ASKED + 86_400


def flow(flow_id: int, state: int = 4, variant: int = 0, main: int | None = None, subs: tuple[int, ...] = ()) -> Flow:
    return Flow.model_validate(
        {"id": flow_id, "state": state, "variant": variant, "combinedMainFlowId": main, "combinedSubFlowIds": subs}
    )


def participant(
    participant_id: int,
    exam_id: str | None = None,
    *,
    person: int | None = None,
    submission_id: int | None = 500,
    names: tuple[str, ...] = (),
    number: str | None = None,
) -> Participant:
    return Participant.model_validate(
        {
            "participantId": participant_id,
            "uniqueExamId": exam_id,
            "userId": person if person is not None else participant_id * 10,
            "submissionId": submission_id,
            "user": {
                "id": 1,
                "externalIds": [
                    *({"name": "Feide", "value": name} for name in names),
                    *([{"name": "FS", "value": number}] if number else []),
                ],
            },
        }
    )


def explanation(**changes: Any) -> Explanation:
    return Explanation.model_validate(
        {
            "explanationId": 9,
            "flowId": 1,
            "title": "T",
            "requestDate": ASKED,
            "assignDate": ASKED + 60,
            "state": 3,
            "participant": {"participantId": 7, "user": {"id": 70}},
            "assignedAssessor": {"assessorId": 81, "user": {"id": 811}},
            **changes,
        }
    )


def comment(comment_id: int = 1, **changes: Any) -> SubmissionComment:
    return SubmissionComment.model_validate(
        {
            "id": comment_id,
            "flowId": 1,
            "containerId": 500,
            "assessorId": 81,
            "assessorUserId": 811,
            "content": f"text {comment_id}",
            "shareType": "PARTICIPANTS",
            "createdAt": iso(ANSWERED),
            "updatedAt": iso(ANSWERED),
            **changes,
        }
    )


def iso(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


UNREADABLE = "x"
"""A user id that makes a row unreadable."""


def bad_row(participant_id: Any = 2, **changes: Any) -> dict[str, Any]:
    return {
        "participantId": participant_id,
        "userId": UNREADABLE,
        "user": {"id": 1, "externalIds": [{"name": "Feide", "value": "ola.s@uis.no"}, {"name": "FS", "value": "7"}]},
        **changes,
    }


def feide(name: str) -> dict[str, Any]:
    return {"id": 1, "externalIds": [{"name": "Feide", "value": name}]}
