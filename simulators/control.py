"""The control interface: it fills the simulated systems with data, makes them fail, and reports what happened.

``README.md`` lists its calls. It is no simulated system: its calls are not counted, and faults do not apply to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.added_request import RequestOrder, add_request
from simulators.assessors import Assessors
from simulators.bodies import read_json
from simulators.case_changes import CaseChanges
from simulators.faults import FaultRule
from simulators.institution import Institution
from simulators.order_fields import FLAG, LIST, SECONDS, TEXT, check_fields, whole
from simulators.population import PopulationOrder, populate
from simulators.rate_limit import Rates
from simulators.state import World
from simulators.summary import FEWER_IS_REACHED, case_rows, conditions, summary

LONGEST_WAIT_S = 600.0
ORDER_ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""The errors that an order of another form than in ``README.md`` raises. They are answered as errors of the sender."""

CHANGED_ANSWER = {"explanationRequestId": whole(), "text": TEXT.or_null(), "after_s": SECONDS, "edit": FLAG}
CREDENTIALS = {"orgId": TEXT, "system": TEXT, "valid": FLAG}

Handler = Callable[[dict[str, Any]], Any]


class Control:
    """The control interface of the simulated systems."""

    def __init__(self, world: World, assessors: Assessors) -> None:
        self._world = world
        self._assessors = assessors
        self._changes = CaseChanges(world)

    def application(self) -> Starlette:
        def post(path: str, handler: Handler) -> Route:
            return Route(path, _endpoint_with_body(handler), methods=["POST"])

        def get(path: str, answer: Callable[[], Any]) -> Route:
            return Route(path, _endpoint_without_body(answer), methods=["GET"])

        world = self._world
        return Starlette(
            routes=[
                post("/population", self._population),
                post("/release", self._release),
                post("/requests", self._add_request),
                post("/withdraw", self._changes.withdraw),
                post("/change", self._changes.change),
                post("/assessors", self._set_pace),
                post("/answers/change", self._change_answer),
                post("/credentials", self._credentials),
                post("/tokens/expire", self._expire_tokens),
                post("/faults", self._set_faults),
                Route("/faults", _endpoint_without_body(self._clear_faults), methods=["DELETE"]),
                get("/faults", lambda: {"rules": [rule.as_json() for rule in world.faults.rules]}),
                post("/modes", self._set_modes),
                post("/rates", self._set_rates),
                get("/summary", lambda: summary(world)),
                get("/cases", lambda: case_rows(world)),
                get("/slack/messages", lambda: world.slack_messages),
                get("/laas/documents", lambda: world.laas_documents),
                Route("/requests-log", self._requests_log, methods=["GET"]),
                Route("/wait", self._wait, methods=["GET"]),
            ]
        )

    # Population

    def _population(self, body: dict[str, Any]) -> dict[str, Any]:
        order = PopulationOrder.from_json(body)
        self._assessors.stop()
        made = populate(self._world, order)
        self._world.waiting.changed()
        return made

    def _release(self, body: dict[str, Any]) -> dict[str, int]:
        check_fields(body, {"count": whole(0).or_null()})
        released = self._world.release(body.get("count"))
        return {"released": released, "held": len(self._world.held)}

    def _add_request(self, body: dict[str, Any]) -> dict[str, Any]:
        return add_request(self._world, RequestOrder.from_json(body))

    def _institution(self, body: dict[str, Any]) -> Institution:
        institution = self._world.institutions.get(body["orgId"])
        if institution is None:
            raise ValueError("no such orgId")
        return institution

    # The people and the systems

    def _set_pace(self, body: dict[str, Any]) -> dict[str, Any]:
        pace = self._world.pace
        pace.change(body)
        if not pace.paused:
            self._assessors.resume()
        return pace.as_json()

    def _change_answer(self, body: dict[str, Any]) -> dict[str, Any]:
        check_fields(body, CHANGED_ANSWER, needed={"explanationRequestId"})
        explanation = self._world.explanations.get(body["explanationRequestId"])
        if explanation is None or not explanation.versions:
            raise ValueError("no such explanationRequestId, or it was never answered")
        self._assessors.change_answer(
            explanation, body.get("text"), after_s=body.get("after_s", 0), edit=body.get("edit", False)
        )
        return {"state": int(explanation.state), "versions": len(explanation.versions)}

    def _credentials(self, body: dict[str, Any]) -> dict[str, Any]:
        check_fields(body, CREDENTIALS, needed={"orgId", "system"})
        institution, system, valid = self._institution(body), body["system"], body.get("valid", False)
        if system == "fs":
            institution.fs_credentials_valid = valid
        elif system == "wiseflow":
            institution.wiseflow_credentials_valid = valid
        else:
            raise ValueError("system must be fs or wiseflow")
        return {"orgId": institution.org_id, "system": system, "valid": valid}

    def _expire_tokens(self, _body: dict[str, Any]) -> dict[str, int]:
        expired = len(self._world.tokens)
        self._world.tokens.clear()
        return {"expired": expired}

    def _set_faults(self, body: dict[str, Any]) -> dict[str, Any]:
        check_fields(body, {"rules": LIST})
        rules = body.get("rules", [])
        made = [FaultRule.from_json(rule, seed=f"{self._world.seed}:{place}") for place, rule in enumerate(rules)]
        self._world.faults.rules = made
        return {"rules": len(made)}

    def _clear_faults(self) -> dict[str, int]:
        self._world.faults.rules = []
        return {"rules": 0}

    def _set_modes(self, body: dict[str, Any]) -> dict[str, Any]:
        self._world.modes.change(body)
        return self._world.modes.as_json()

    def _set_rates(self, body: dict[str, Any]) -> dict[str, Any]:
        """Change how many calls each credential set may make, from the next call on."""
        self._world.rates = Rates.from_json(body)
        self._world.rate_limits.clear()
        return asdict(self._world.rates)

    # What happened

    async def _requests_log(self, request: Request) -> Response:
        try:
            limit = int(request.query_params.get("limit", "200"))
        except ValueError as error:
            return _refused(error)
        return JSONResponse(self._world.traffic.latest(request.query_params.get("system"), limit))

    async def _wait(self, request: Request) -> Response:
        """Answer when the number is reached, or when the time is over."""
        query = request.query_params
        condition = query.get("condition", "")
        system, route = query.get("system"), query.get("route")
        try:
            count, timeout_s = int(query.get("count", "0")), float(query.get("timeout_s", "30"))
        except ValueError as error:
            return _refused(error)
        timeout_s = min(timeout_s, LONGEST_WAIT_S) if timeout_s > 0 else 0.0

        def value() -> int:
            traffic = self._world.traffic
            if condition == "calls" and route:
                return traffic.by_route[f"{system} {route}" if system else route]
            if condition == "calls" and system:
                return traffic.by_system[system]
            return conditions(self._world)[condition]

        if condition not in conditions(self._world):
            return JSONResponse({"error": f"no such condition: {condition}"}, 400)
        fewer = condition in FEWER_IS_REACHED
        reached = await self._world.waiting.until(
            lambda: value() <= count if fewer else value() >= count, timeout_s=timeout_s
        )
        return JSONResponse({"reached": reached, "condition": condition, "value": value()})


def _refused(error: Exception) -> Response:
    message = str(error) if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: {error}"
    return JSONResponse({"error": message}, 400)


def _endpoint_with_body(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        try:
            body = read_json(raw) if raw else {}
            if not isinstance(body, dict):
                raise ValueError("the body must be a JSON object")  # noqa: TRY004 answered as any other
            return JSONResponse(handler(body))
        except ORDER_ERRORS as error:
            return _refused(error)

    return endpoint


def _endpoint_without_body(answer: Callable[[], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_request: Request) -> Response:
        return JSONResponse(answer())

    return endpoint
