"""WISEflow's API 1.34: one method for each endpoint that grade explanations need (contract 4.2 and 4.3).

This module has the endpoints in their two generations, paging and refusals. `resources.wiseflow.flow_matching` chooses the right
flow, participant or comment. `resources.wiseflow.exam_system` implements the engine's port on top of this client.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from pydantic import AliasChoices, Field, TypeAdapter, ValidationError

from casebridge.errors import CaseError, PermanentError
from casebridge.exams.ports import CandidateGoneError
from casebridge.institutions.institution import WiseflowAccess
from casebridge.personal_data import DomainModel
from casebridge.secrets import Secrets
from casebridge.settings import WiseflowSettings
from resources.http.client import HttpAnswer, HttpCall, HttpClient, Refusal
from resources.http.json_items import listed
from resources.text.readable_text import readable_text
from resources.wiseflow.flow_matching import same_source_code
from resources.wiseflow.records import (
    Explanation,
    Flag,
    Flow,
    Id,
    Participant,
    SourceHit,
    SubmissionComment,
    UnreadableComment,
    UnreadableExplanation,
    UnreadableParticipant,
)
from resources.wiseflow.token import ApiKey, Credential, OAuth2Token

SOURCES_PAGE: Final = 100
MOST_PAGES: Final = 1000
"""Paging stops with an error after this many pages. 100,000 participants mean that the server repeats itself."""

Record = TypeVar("Record", Flow, SourceHit, Participant, Explanation, SubmissionComment)
Row = TypeVar("Row")

NO_FLOW: Final = Refusal(
    PermanentError,
    "flow_unknown",
    "WISEflow does not know the flow on the institution's licence.",
    "Check whether the flow was deleted or moved to another licence; replay the message when it is there.",
)
NO_SEARCH: Final = Refusal(
    PermanentError,
    "search_unavailable",
    "The institution's WISEflow licence does not offer this search for flows.",
    "Change wiseflow.flowSearch of the institution in configDB.orgs (sources or sis_flows), then replay the message.",
)
BAD_SEARCH: Final = Refusal(
    PermanentError,
    "search_refused",
    "WISEflow does not accept the exam's source code as a search.",
    "Check the vurderingsenhet in FS: at least one part of its key must have three characters.",
)
NO_PARTICIPANTS: Final = Refusal(
    PermanentError,
    "participants_unavailable",
    "WISEflow has no such flow, or no such list of participants.",
    "Check the flow, and wiseflow.participantsEndpoint of the institution in configDB.orgs; then replay the message.",
)
EXPLANATIONS_OFF: Final = Refusal(
    PermanentError,
    "explanations_off",
    "The flow does not take requests for explanations: switched off, or not yet in the marking phase.",
    "Ask the institution to switch on grade justifications on the flow in WISEflow, then replay the message.",
)
NO_PARTICIPANT: Final = Refusal(
    CandidateGoneError,
    "participant_unknown",
    "WISEflow does not know the flow, or not the participant on it.",
    "Check whether the candidate was moved to another flow. When it is there, replay the message: the participant is looked for "
    "again. If FS shows the request as finished, discard the message.",
)
BAD_REQUEST: Final = Refusal(
    PermanentError,
    "request_refused",
    "WISEflow does not accept the request for an explanation.",
    "Correct the deadline (frist) of the request in FS. The next poll reads the changed row. Then replay the message.",
)
NO_EXPLANATION: Final = Refusal(
    PermanentError,
    "explanation_unknown",
    "WISEflow does not know the request for an explanation, or no longer.",
    "Find out in WISEflow who deleted the flow or the request. If the assessor must be asked again, set frist to a new date in "
    "FS: the next poll reads the changed row. If not, finish the request in FS by hand. Then discard the message.",
)
NOT_SHOWN: Final = Refusal(
    PermanentError,
    "show_refused",
    "WISEflow does not let the student see the explanation.",
    "Show it in WISEflow by hand, or set wiseflow.showJustification of the institution to false; then replay the message.",
)
COMMENTS_OFF: Final = Refusal(
    PermanentError,
    "comments_off",
    "The institution's WISEflow licence gives no access to submission comments, where answers are.",
    "Ask UNIwise for access to marking data on the licence, then replay the message.",
)


class CreatedExplanation(DomainModel):
    """The answer to a request for an explanation, and to a change of its visibility."""

    explanation_request_id: Id = Field(
        validation_alias=AliasChoices("explanationRequestId", "explanationId", "explanation_request_id")
    )
    show_justification: Flag = Field(False, alias="showJustification")
    created: Flag = False
    """Whether the call created the request (201). If not, it existed already (200)."""


class WiseflowClient:
    """The API for one licence. Thread-safe. Every method may raise errors of `casebridge.errors`."""

    def __init__(self, access: WiseflowAccess, secrets: Secrets, settings: WiseflowSettings, http: HttpClient) -> None:
        self._access = access
        self._settings = settings
        self.http = http
        self._credential: Credential = (
            ApiKey(secrets, access.credential_ref)
            if access.authentication == "api_key"
            else OAuth2Token(http, secrets, access.credential_ref, settings.token_margin_seconds)
        )

    def search_sources(self, source_code: str) -> Sequence[SourceHit]:
        """`POST /sources/search`: the sources with this code, each with its flow."""
        call = HttpCall(
            "POST",
            "/sources/search",
            json={"sourceCode": source_code},
            refusals={400: BAD_SEARCH, 403: NO_SEARCH, 404: NO_SEARCH},
        )
        rows = self._pages(
            call, SOURCES_PAGE, lambda answer, row: _hit(answer, row, SourceHit, "code", source_code), _source
        )
        return [row for row in rows if isinstance(row, SourceHit)]

    def search_sis_flows(self, source_code: str) -> Sequence[Flow]:
        """`GET /license/sis/flows/{sisCode}` (deprecated). By its description it returns a list, by its schema one object."""
        call = HttpCall(
            "GET",
            "/license/sis/flows/{sis_code}",
            path={"sis_code": base64.b64encode(source_code.encode()).decode()},
            refusals={400: BAD_SEARCH, 403: NO_SEARCH, 404: NO_SEARCH},
        )
        answer = self._send(call)
        found = listed(answer)
        rows = found if isinstance(found, list) else [found]
        hits = [_hit(answer, row, Flow, "sisCode", source_code) for row in rows]
        return [hit for hit in hits if isinstance(hit, Flow)]

    def flow(self, flow_id: int) -> Flow:
        """`GET /flow/{flowId}`. Raises `PermanentError` `wiseflow.flow_unknown`."""
        answer = self._send(HttpCall("GET", "/flow/{flow_id}", path={"flow_id": flow_id}, refusals={404: NO_FLOW}))
        return _records(answer, [answer.json()], Flow)[0]

    def participants(
        self, flow_id: int, endpoint: Literal["new", "old"]
    ) -> Sequence[Participant | UnreadableParticipant]:
        """`GET /flows/{flowId}/participants`, or `/flow/…` before 1.34, without `uniqueExamId`. Each row is read alone."""
        template = "/flows/{flow_id}/participants" if endpoint == "new" else "/flow/{flow_id}/participants"
        call = HttpCall("GET", template, path={"flow_id": flow_id}, refusals={404: NO_PARTICIPANTS})
        return self._pages(call, self._settings.participants_page, _participant, _participant_identity)

    def participant(self, flow_id: int, participant_id: int) -> Participant:
        """`GET /flows/{flowId}/participants/{participantId}`. Raises `PermanentError` `wiseflow.participant_unknown`."""
        call = HttpCall(
            "GET",
            "/flows/{flow_id}/participants/{participant_id}",
            path={"flow_id": flow_id, "participant_id": participant_id},
            refusals={404: NO_PARTICIPANT},
        )
        answer = self._send(call)
        data, _ = _envelope(answer)
        return _records(answer, data if isinstance(data, list) else [data], Participant)[0]

    def request_explanation(
        self, flow_id: int, participant_id: int, *, show: bool, due: datetime | None
    ) -> CreatedExplanation:
        """`POST /flow/{flowId}/explanation/request`: creates the request, or returns the existing one.

        `show` has an effect only if it is created. Raises `PermanentError` `wiseflow.explanations_off`,
        `wiseflow.participant_unknown` or `wiseflow.request_refused`.
        """
        body: dict[str, Any] = {"participantId": participant_id, "showJustification": show}
        if due is not None:
            body["dueDate"] = int(due.timestamp())
        call = HttpCall(
            "POST",
            "/flow/{flow_id}/explanation/request",
            path={"flow_id": flow_id},
            json=body,
            refusals={400: BAD_REQUEST, 403: EXPLANATIONS_OFF, 404: NO_PARTICIPANT},
        )
        answer = self._send(call)
        return _created(answer, answer.json()).model_copy(update={"created": answer.status == 201})

    def explanations(self, flow_id: int) -> Sequence[Explanation | UnreadableExplanation]:
        """`GET /flow/{flowId}/explanation/request`: every request on the flow. Each row is read alone.

        Raises `wiseflow.flow_unknown`.
        """
        call = HttpCall(
            "GET", "/flow/{flow_id}/explanation/request", path={"flow_id": flow_id}, refusals={404: NO_FLOW}
        )
        answer = self._send(call)
        rows = listed(answer)
        if not isinstance(rows, list):
            raise answer.unreadable("the list")
        return [_explanation(answer, row) for row in rows]

    def explanation(self, flow_id: int, explanation_request_id: int) -> Explanation:
        """`GET …/explanation/request/{explanationRequestId}`. Raises `wiseflow.explanation_unknown`."""
        call = HttpCall(
            "GET",
            "/flow/{flow_id}/explanation/request/{explanation_request_id}",
            path={"flow_id": flow_id, "explanation_request_id": explanation_request_id},
            refusals={404: NO_EXPLANATION},
        )
        answer = self._send(call)
        return _records(answer, [answer.json()], Explanation)[0]

    def show_explanation(self, flow_id: int, explanation_request_id: int) -> CreatedExplanation:
        """`PATCH …/explanation/request/{explanationRequestId}`: let the student see it. WISEflow sends an e-mail.

        In the vendor's schema `data` is an array, in its example an object. Both are read.
        """
        call = HttpCall(
            "PATCH",
            "/flow/{flow_id}/explanation/request/{explanation_request_id}",
            path={"flow_id": flow_id, "explanation_request_id": explanation_request_id},
            json={"showJustification": True},
            refusals={400: NOT_SHOWN, 403: NOT_SHOWN, 404: NO_EXPLANATION},
        )
        answer = self._send(call)
        data, _ = _envelope(answer)
        return _created(answer, data[0] if isinstance(data, list) and data else data)

    def submission_comments(self, flow_id: int) -> Sequence[SubmissionComment | UnreadableComment]:
        """`GET /flows/{flowId}/assessors/submission-comments`. Each row is read alone. Raises `wiseflow.comments_off`."""
        call = HttpCall(
            "GET",
            "/flows/{flow_id}/assessors/submission-comments",
            path={"flow_id": flow_id},
            refusals={400: NO_FLOW, 403: COMMENTS_OFF, 404: NO_FLOW},
        )
        return self._pages(call, self._settings.comments_page, _comment, lambda one: one)

    def renew_credential(self) -> bool:
        """Fetch a new token. Return false for a static key, because only a call shows whether it works."""
        return self._credential.renew()

    def _send(self, call: HttpCall) -> HttpAnswer:
        """Call with the institution's authorisation. If its token was refused, call once more with a new one."""
        authorisation = self._credential.authorisation()
        answer = self.http.send(replace(call, auth=authorisation, returned=call.returned | {401}))
        if answer.status != 401:
            return answer
        if self._credential.refused(authorisation):
            return self.http.send(replace(call, auth=self._credential.authorisation()))
        raise self.http.failure(call, answer)

    def _pages(
        self, call: HttpCall, limit: int, read: Callable[[HttpAnswer, Any], Row], identity: Callable[[Row], object]
    ) -> Sequence[Row]:
        """All rows of a paged endpoint, each once.

        If answers have no `pagination`, the last page is one that is not exactly full or has nothing new.
        """
        rows: dict[object, Row] = {}
        offset = 0
        for _ in range(MOST_PAGES):
            answer = self._send(replace(call, query={"offset": offset, "limit": limit}))
            data, total = _envelope(answer)
            if not isinstance(data, list):
                raise answer.unreadable("the list")
            page = [read(answer, row) for row in data]
            known = len(rows)
            rows.update((identity(row), row) for row in page)
            offset += len(page)
            is_last = (len(page) != limit or len(rows) == known) if total is None else offset >= total
            if is_last:
                found = list(rows.values())
                if found and all(isinstance(one, UnreadableParticipant) for one in found):
                    # No participant could be found. So the whole list has an unknown shape.
                    raise answer.unreadable("every participant")
                return found
            if not page:
                raise answer.unreadable("an empty page before the end")
        raise answer.unreadable("pages without an end")


def _envelope(answer: HttpAnswer) -> tuple[Any, int | None]:
    """The `data` and the total of an envelope `{success, data, error, pagination}`. A bare list is `data` itself."""
    body = listed(answer, "data")
    if isinstance(body, list):
        return body, None
    if not isinstance(body, dict) or body.get("success") is False or "data" not in body:
        raise answer.unreadable("no data")
    pagination = body.get("pagination")
    total = pagination.get("total") if isinstance(pagination, dict) else None
    return body["data"], total if isinstance(total, int) else None


_LISTS: Final[Mapping[type, TypeAdapter[Any]]] = {
    kind: TypeAdapter(list[kind])  # type: ignore[valid-type]  # made at run time
    for kind in (Flow, SourceHit, Participant, Explanation, SubmissionComment)
}


def _records(answer: HttpAnswer, rows: Any, kind: type[Record]) -> list[Record]:
    try:
        records: list[Record] = _LISTS[kind].validate_python(rows)
        return [_readable(record) for record in records]
    except ValidationError as error:
        raise _shape(answer, error) from None
    except Exception as error:  # noqa: BLE001 an impossible date, half a character: a fault of the record, not a defect
        raise answer.unreadable(f"something ({type(error).__name__})") from None


def _explanation(answer: HttpAnswer, row: Any) -> Explanation | UnreadableExplanation:
    """Read one row. Never raises, so an error in a row does not hide other rows."""
    try:
        explanation = _records(answer, [row], Explanation)[0]
        (explanation.text or "").encode()  # half a character cannot be stored or sent
    except Exception:  # noqa: BLE001 see above
        return UnreadableExplanation.of(row)
    return explanation


def _participant(_answer: HttpAnswer, row: Any) -> Participant | UnreadableParticipant:
    """Read one row. Never raises."""
    try:
        return Participant.model_validate(row)
    except Exception:  # noqa: BLE001 see above
        return UnreadableParticipant.of(row)


def _participant_identity(one: Participant | UnreadableParticipant) -> object:
    return one.participant_id if isinstance(one, Participant) else one


def _comment(answer: HttpAnswer, row: Any) -> SubmissionComment | UnreadableComment:
    """Read one row. Never raises."""
    try:
        comment = _records(answer, [row], SubmissionComment)[0]
        (comment.content or "").encode()
    except Exception:  # noqa: BLE001 see above
        return UnreadableComment.of(row)
    return comment


def _hit(answer: HttpAnswer, row: Any, kind: type[Record], field: str, wanted: str) -> Record | None:
    """Read a hit. None if it is unreadable but of another exam: a search also finds codes that only begin like `wanted`."""
    try:
        return _records(answer, [row], kind)[0]
    except CaseError:
        code = row.get(field) if isinstance(row, dict) else None
        if isinstance(code, str) and not same_source_code(code, wanted):
            return None
        raise


def _source(hit: SourceHit | None) -> object:
    return (hit.flow_id, hit.code) if hit is not None else None


def _readable(record: Record) -> Record:
    """The record with its text in readable form. WISEflow sends plain text or HTML (contract 4.4)."""
    if isinstance(record, SubmissionComment) and record.content:
        return record.model_copy(update={"content": readable_text(record.content)})
    if isinstance(record, Explanation) and record.justification and record.justification.text:
        text = readable_text(record.justification.text)
        return record.model_copy(update={"justification": record.justification.model_copy(update={"text": text})})
    return record


def _created(answer: HttpAnswer, data: Any) -> CreatedExplanation:
    try:
        return CreatedExplanation.model_validate(data)
    except ValidationError as error:
        raise _shape(answer, error) from None


def _shape(answer: HttpAnswer, error: ValidationError) -> CaseError:
    """An error that names the invalid fields, without values and without positions in lists."""
    fields = {".".join(str(part) for part in one["loc"] if isinstance(part, str)) or "body" for one in error.errors()}
    return answer.unreadable(", ".join(sorted(fields)))
