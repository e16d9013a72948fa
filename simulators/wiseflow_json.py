"""The JSON of WISEflow's objects, field by field as in the vendor's description, version 1.34.0."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from simulators.flow import Comment, ExplanationRequest, ExplanationState, Flow, FlowState, Participant, Source
from simulators.institution import Student

INTEGRATION_ID = 41
INTEGRATION_NAME = "FS"
FLOW_TYPE_DEFAULT = 0
PURPOSE_EXAMINATION = 0

STATE_WORDS = {
    FlowState.NOT_ACTIVATED: "NOT_ACTIVATED",
    FlowState.PARTICIPATION_NOT_STARTED: "ACTIVATED",
    FlowState.PARTICIPATION_STARTED: "PARTICIPATION_STARTED",
    FlowState.PARTICIPATION_ENDED: "PARTICIPATION_ENDED",
    FlowState.CONCLUDED: "CONCLUDED",
    FlowState.ARCHIVED: "ARCHIVED",
}
"""The states as words, as in ``/sources/search``."""


def basic_flow(flow: Flow) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": flow.flow_id,
        "name": flow.name,
        "subName": flow.sub_name,
        "participantStartDate": flow.created,
        "participantEndDate": flow.participation_ends,
        "assessorStartDate": flow.participation_ends,
        "assessorEndDate": flow.participation_ends + 21 * 86_400,
    } | _flow_kind(flow)
    if flow.sources:
        body["sisInformation"] = [{"code": source.code} for source in flow.sources]
    return body


def found_flow(flow: Flow, source: Source) -> dict[str, Any]:
    """A hit of the deprecated flow search."""
    return {"flowId": flow.flow_id, "sisCode": source.code} | _flow_kind(flow)


def _flow_kind(flow: Flow) -> dict[str, Any]:
    body: dict[str, Any] = {
        "creationDate": flow.created,
        "type": FLOW_TYPE_DEFAULT,
        "state": int(flow.state),
        "variant": int(flow.variant),
        "purpose": PURPOSE_EXAMINATION,
        "combinedSubFlowIds": flow.combined_sub_flow_ids,
    }
    if flow.combined_main_flow_id is not None:
        body["combinedMainFlowId"] = flow.combined_main_flow_id
    return body


def found_source(flow: Flow, source: Source) -> dict[str, Any]:
    """A hit of the source search. ``flowid`` is in lower case, as in the vendor's description."""
    return {
        "sourceId": source.source_id,
        "code": source.code,
        "integrationId": INTEGRATION_ID,
        "integrationName": INTEGRATION_NAME,
        "flow": {"flowid": flow.flow_id, "title": flow.name, "state": STATE_WORDS[flow.state]},
    }


def flow_source(source: Source) -> dict[str, Any]:
    return {"sourceId": source.source_id, "code": source.code, "integration": INTEGRATION_NAME}


def participant(one: Participant, org_id: str) -> dict[str, Any]:
    """A participant. Its JSON is made once and kept. Code that changes a participant clears it."""
    if one.json is None:
        one.json = {
            "participantId": one.participant_id,
            "userId": one.student.user_id,
            "uniqueExamId": one.unique_exam_id,
            "number": one.number,
            "activated": one.activated,
            "submissionId": one.submission_id,
            "groupId": one.group_id,
            "assessorIds": [one.assessor.assessor_id],
            "assessorGroupIds": [],
            "user": participating_user(one, org_id),
        }
    return one.json


def participant_of_old_endpoint(one: Participant, org_id: str) -> dict[str, Any]:
    """A participant as before 1.34, without ``uniqueExamId`` (contract 4.3)."""
    return {name: value for name, value in participant(one, org_id).items() if name != "uniqueExamId"}


def participating_user(one: Participant, org_id: str) -> dict[str, Any]:
    """The user of a participant. The control interface may have given it other names in other systems."""
    body = user(one.student, org_id)
    if one.external_ids is not None:
        body["externalIds"] = one.external_ids
        if not one.external_ids:
            del body["externalIds"]
    return body


def user(student: Student, org_id: str) -> dict[str, Any]:
    return {
        "id": student.user_id,
        "firstName": student.first_name,
        "lastName": student.last_name,
        "phone": "",
        "externalIds": [
            {"name": "Feide", "value": f"{student.brukernavn}@{org_id}"},
            {"name": "FS", "value": str(student.personlopenr)},
        ],
    }


def explanation(request: ExplanationRequest, org_id: str, *, with_text: bool) -> dict[str, Any]:
    """A request for a grade justification.

    :param with_text: add the newest text to the object when it is submitted; the schema does not have this field
    """
    one = request.participant
    body: dict[str, Any] = {
        "explanationId": request.explanation_id,
        "flowId": request.flow.flow_id,
        "title": request.flow.name,
        "subtitle": request.flow.sub_name,
        "requestDate": int(request.created_at),
        "dueDate": request.due_date,
        "state": int(request.state),
        "showJustification": request.show_justification,
        "participant": {"participantId": one.participant_id, "user": participating_user(one, org_id)},
    }
    if request.assign_date is not None:
        body["assignDate"] = request.assign_date
        body["assignedAssessor"] = _assigned_assessor(one)
        body["assignedBy"] = {"userId": 77, "firstName": "Eva", "lastName": "Sensurkontoret"}
    if request.accept_date is not None:
        body["acceptDate"] = request.accept_date
    if with_text and request.versions and request.state >= ExplanationState.SUBMITTED:
        body["justification"] = {"text": request.versions[-1].written}
    return body


def _assigned_assessor(one: Participant) -> dict[str, Any]:
    assessor = one.assessor
    return {
        "assessorId": assessor.assessor_id,
        "user": {
            "id": assessor.user_id,
            "firstName": assessor.first_name,
            "lastName": assessor.last_name,
            "phone": "",
            "externalIds": [],
        },
    }


def comment(one: Comment) -> dict[str, Any]:
    return {
        "id": one.comment_id,
        "flowId": one.flow_id,
        "containerId": one.container_id,
        "assessorId": one.assessor.assessor_id,
        "assessorUserId": one.assessor.user_id,
        "content": one.content,
        "shareType": str(one.share_type),
        "createdAt": _utc(one.created_at),
        "updatedAt": _utc(one.updated_at),
        "files": [],
    }


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _parts(code: str) -> list[str]:
    return code.rstrip("|").split("||")


def matches_code(pattern: str, code: str) -> bool:
    """Whether a search pattern matches a source code, part by part. ``*`` matches any part. Separators at the end are ignored."""
    wanted, parts = _parts(pattern), _parts(code)
    return len(wanted) == len(parts) and all(want in {"*", part} for want, part in zip(wanted, parts, strict=True))
