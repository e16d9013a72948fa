"""The part of WISEflow's API that grade explanations need, as in the vendor's description 1.34.0 (contract 4).

The API has two generations of endpoints:

- ``/flow`` and ``/license`` return bare objects, and empty bodies for errors.
- ``/flows`` and ``/sources`` return an envelope.

``wiseflow_json`` has the JSON of the objects.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators import wiseflow_json
from simulators.assessors import Assessors
from simulators.bodies import media_type, read_json
from simulators.flow import ExplanationRequest, Flow, Participant, Source
from simulators.front_door import ExternalSystem
from simulators.institution import Institution
from simulators.state import World
from simulators.wiseflow_access import Access

BASE = "/v1"
TRACE_HEADER = "X-Trace-Id"
PARTICIPANTS_A_PAGE = 100
SOURCES_A_PAGE = 100
COMMENTS_A_PAGE = 1_000
SHORTEST_SEARCH_PART = 3
DEFAULT_DUE_S = 14 * 86_400

Handler = Callable[[Request, Institution], Awaitable[Response]]


class RefusedError(Exception):
    """A call that WISEflow refuses."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Wiseflow:
    """The API over the simulated data."""

    def __init__(self, world: World, assessors: Assessors) -> None:
        self._world = world
        self._assessors = assessors
        self._access = Access(world)

    def system(self) -> ExternalSystem:
        old, new = self._old, self._new
        flow, flows = f"{BASE}/flow/{{flowId:id}}", f"{BASE}/flows/{{flowId:id}}"
        request_path = f"{flow}/explanation/request"
        one_request = f"{request_path}/{{explanationRequestId:id}}"
        routes = [
            Route(f"{BASE}/oauth2/token", self._access.issue_token, methods=["POST"]),
            Route(f"{BASE}/sources/search", new(self._search_sources), methods=["POST"]),
            Route(f"{BASE}/license/sis/flows/{{sisCode:path}}", old(self._search_flows), methods=["GET"]),
            Route(request_path, old(self._explanations), methods=["GET"]),
            Route(request_path, old(self._request_explanation), methods=["POST"]),
            Route(one_request, old(self._explanation), methods=["GET"]),
            Route(one_request, new(self._show_explanation), methods=["PATCH"]),
            Route(flow, old(self._basic_flow), methods=["GET"]),
            Route(f"{flow}/participants", old(self._participants_of_old_endpoint), methods=["GET"]),
            Route(f"{flows}/participants", new(self._participants), methods=["GET"]),
            Route(f"{flows}/participants/{{participantId:id}}", new(self._participant), methods=["GET"]),
            Route(f"{flows}/assessors/submission-comments", new(self._comments), methods=["GET"]),
            Route(f"{flows}/sources", new(self._flow_sources), methods=["GET"]),
        ]
        return ExternalSystem("wiseflow", BASE, routes, self._organisation, TRACE_HEADER, self._access.expire_token)

    def _organisation(self, request: Request) -> str | None:
        institution = self._access.caller(request)
        return institution.org_id if institution else None

    def _old(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint of the first generation. Its refusals have no body."""
        return self._door(handler, lambda refusal: Response(status_code=refusal.status))

    def _new(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint of the second generation. Its refusals have the envelope."""
        return self._door(handler, _refusal_envelope)

    def _door(
        self, handler: Handler, refused: Callable[[RefusedError], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            institution = self._access.caller(request)
            if institution is None:
                return refused(RefusedError(401, "Unauthorized"))
            allowance = self._access.limit(institution).take()
            try:
                if not allowance.allowed:
                    raise RefusedError(429, "Too many requests")
                response = await handler(request, institution)
            except RefusedError as refusal:
                response = refused(refusal)
            response.headers.update(allowance.headers)
            return response

        return endpoint

    # Finding the flow

    async def _search_sources(self, request: Request, institution: Institution) -> Response:
        if institution.settings.flow_search != "sources":
            return Response(status_code=404)
        body = await _read_object(request)
        pattern, flow_id = body.get("sourceCode"), body.get("flowId")
        if not isinstance(pattern, str) or not any(len(part) >= SHORTEST_SEARCH_PART for part in pattern.split("||")):
            return _error_without_data(400, "sourceCode needs a part of three characters or more")
        if flow_id is not None and not _is_int(flow_id):
            return _error_without_data(400, "flowId must be an integer")
        try:
            page = _page(request, SOURCES_A_PAGE)
        except RefusedError as refusal:
            return _error_without_data(refusal.status, refusal.message)
        hits = [
            wiseflow_json.found_source(flow, source)
            for flow, source in self._matching(pattern, institution)
            if flow_id in {None, flow.flow_id}
        ]
        return _paged(hits, *page)

    async def _search_flows(self, request: Request, institution: Institution) -> Response:
        """The deprecated search. If nothing is found, it returns an empty list in each mode."""
        try:
            pattern = _decode(request.path_params["sisCode"])
        except ValueError:
            return JSONResponse([])
        hits = [wiseflow_json.found_flow(flow, source) for flow, source in self._matching(pattern, institution)]
        if self._world.modes.sis_flows_shape == "object" and len(hits) == 1:
            return JSONResponse(hits[0])
        return JSONResponse(hits)

    def _matching(self, pattern: str, institution: Institution) -> list[tuple[Flow, Source]]:
        return [
            (flow, source)
            for flow in self._world.flows.values()
            if flow.institution is institution
            for source in flow.sources
            if wiseflow_json.matches_code(pattern, source.code)
        ]

    async def _basic_flow(self, request: Request, institution: Institution) -> Response:
        return JSONResponse(wiseflow_json.basic_flow(self._flow(request, institution)))

    async def _flow_sources(self, request: Request, institution: Institution) -> Response:
        flow = self._flow(request, institution)
        return JSONResponse({"success": True, "data": [wiseflow_json.flow_source(one) for one in flow.sources]})

    def _flow(self, request: Request, institution: Institution) -> Flow:
        """The flow in the path, if it belongs to the caller's licence."""
        flow = self._world.flows.get(request.path_params["flowId"])
        if flow is None or flow.institution is not institution:
            raise RefusedError(404, "Flow not found")
        return flow

    # Participants and comments

    async def _participants(self, request: Request, institution: Institution) -> Response:
        if institution.settings.participants_endpoint != "new":
            raise RefusedError(404, "Not found")
        flow = self._flow(request, institution)
        offset, limit = _page(request, PARTICIPANTS_A_PAGE)
        page = [
            wiseflow_json.participant(one, institution.org_id) for one in flow.participants[offset : offset + limit]
        ]
        return _envelope(page, offset, limit, total=len(flow.participants))

    async def _participant(self, request: Request, institution: Institution) -> Response:
        """One participant, as it is now."""
        if institution.settings.participants_endpoint != "new":
            raise RefusedError(404, "Not found")
        flow, wanted = self._flow(request, institution), request.path_params["participantId"]
        found = next((one for one in flow.participants if one.participant_id == wanted), None)
        if found is None:
            raise RefusedError(404, "Participant not found")
        return JSONResponse({"success": True, "data": wiseflow_json.participant(found, institution.org_id)})

    async def _participants_of_old_endpoint(self, request: Request, institution: Institution) -> Response:
        """All participants at once. The endpoint is older than 1.34 and not in the description (contract 4.3)."""
        flow = self._flow(request, institution)
        rows = [wiseflow_json.participant_of_old_endpoint(one, institution.org_id) for one in flow.participants]
        return JSONResponse({"data": rows})

    async def _comments(self, request: Request, institution: Institution) -> Response:
        offset, limit = _page(request, COMMENTS_A_PAGE)
        try:
            flow = self._flow(request, institution)
        except RefusedError as refusal:
            # the description has no 404 here
            raise RefusedError(400, "Invalid flow id") from refusal
        page = [wiseflow_json.comment(one) for one in flow.comments[offset : offset + limit]]
        return _envelope(page, offset, limit, total=len(flow.comments))

    # Explanations

    async def _explanations(self, request: Request, institution: Institution) -> Response:
        flow = self._flow(request, institution)
        return JSONResponse([self._as_json(one) for one in flow.explanations])

    async def _explanation(self, request: Request, institution: Institution) -> Response:
        return JSONResponse(self._as_json(self._explanation_request(request, institution)))

    def _as_json(self, explanation: ExplanationRequest) -> dict[str, Any]:
        org_id = explanation.flow.institution.org_id
        with_text = self._world.modes.justification == "justification"
        return wiseflow_json.explanation(explanation, org_id, with_text=with_text)

    def _explanation_request(self, request: Request, institution: Institution) -> ExplanationRequest:
        flow = self._flow(request, institution)
        explanation = self._world.explanations.get(request.path_params["explanationRequestId"])
        if explanation is None or explanation.flow is not flow:
            raise RefusedError(404, "Explanation request not found")
        return explanation

    async def _request_explanation(self, request: Request, institution: Institution) -> Response:
        """Create a request: 201 if it is new, 200 with the existing one otherwise (contract 4.2)."""
        flow = self._flow(request, institution)
        body = await _read_object(request)
        participant_id, show, due = body.get("participantId"), body.get("showJustification"), body.get("dueDate")
        if not _is_int(participant_id) or not isinstance(show, bool) or not (due is None or _is_int(due)):
            raise RefusedError(400)
        participant = next((one for one in flow.participants if one.participant_id == participant_id), None)
        if participant is None:
            raise RefusedError(404)
        if not flow.explanations_enabled or not flow.marking_is_over:
            raise RefusedError(403)
        explanation = self._world.explanation_of_participant.get(participant.participant_id)
        status = 200
        if explanation is None:
            explanation, status = self._create(flow, participant, due, show=show), 201
        created = {
            "explanationRequestId": explanation.explanation_id,
            "showJustification": explanation.show_justification,
        }
        return JSONResponse(created, status)

    def _create(self, flow: Flow, participant: Participant, due: int | None, *, show: bool) -> ExplanationRequest:
        now = time.time()
        explanation = ExplanationRequest(
            explanation_id=next(self._world.numbers.explanation),
            flow=flow,
            participant=participant,
            show_justification=show,
            due_date=int(now) + DEFAULT_DUE_S if due is None else due,
            created_at=now,
        )
        flow.explanations.append(explanation)
        self._world.explanations[explanation.explanation_id] = explanation
        self._world.explanation_of_participant[participant.participant_id] = explanation
        self._assessors.requested(explanation)
        return explanation

    async def _show_explanation(self, request: Request, institution: Institution) -> Response:
        """Change the visibility. A change from hidden to shown sends an e-mail to the participant (contract 4.2)."""
        explanation = self._explanation_request(request, institution)
        show = (await _read_object(request)).get("showJustification")
        if not isinstance(show, bool):
            raise RefusedError(400, "showJustification must be a boolean")
        if not explanation.flow.explanations_enabled:
            raise RefusedError(403, "Explanations are not enabled on the flow")
        if show and not explanation.show_justification:
            self._world.emails += 1
        explanation.show_justification = show
        explanation.made_visible = explanation.made_visible or show
        data = {"explanationRequestId": explanation.explanation_id, "showJustification": show}
        return JSONResponse({"success": True, "data": [data] if self._world.modes.patch_data == "array" else data})


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


async def _read_object(request: Request) -> dict[str, Any]:
    if media_type(request) != "application/json":
        raise RefusedError(415, "The body must be application/json")
    try:
        body = read_json(await request.body())
    except ValueError as error:
        raise RefusedError(400, "The body is not JSON") from error
    if not isinstance(body, dict):
        raise RefusedError(400, "The body must be an object")
    return body


def _decode(sis_code: str) -> str:
    """Decode a SIS code from base64, in either alphabet, with or without padding.

    :raises ValueError: not base64, or not text
    """
    standard = sis_code.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("not a SIS code") from error


def _page(request: Request, most: int) -> tuple[int, int]:
    """The offset and the limit in the query."""
    try:
        offset = int(request.query_params.get("offset", "0"))
        limit = int(request.query_params.get("limit", str(most)))
    except ValueError as error:
        raise RefusedError(400, "offset and limit must be integers") from error
    if offset < 0 or not 1 <= limit <= most:
        raise RefusedError(400, f"offset must be 0 or more, limit between 1 and {most}")
    return offset, limit


def _paged(rows: list[dict[str, Any]], offset: int, limit: int) -> Response:
    return _envelope(rows[offset : offset + limit], offset, limit, total=len(rows))


def _envelope(page: list[dict[str, Any]], offset: int, limit: int, *, total: int) -> Response:
    pagination = {"limit": limit, "offset": offset, "total": total}
    return JSONResponse({"success": True, "data": page, "pagination": pagination})


def _error(status: int, message: str) -> dict[str, Any]:
    return {"code": status, "message": message, "errors": [{"reason": "invalid", "message": message}]}


def _refusal_envelope(refusal: RefusedError) -> Response:
    if refusal.status == 400:
        return _error_without_data(refusal.status, refusal.message)
    body = {"success": False, "data": None, "error": _error(refusal.status, refusal.message)}
    return JSONResponse(body, refusal.status)


def _error_without_data(status: int, message: str) -> Response:
    return JSONResponse({"success": False, "error": _error(status, message)}, status)
