"""The entrance of every simulated system: it finds the route, counts the call, applies faults and sends the answer.

The module of a system has its answers. ``faults`` has the kinds of faults and when they are applied.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from simulators.faults import FaultRule
from simulators.state import World

HANG_UP = "simulators.hang_up"
"""The name of the ASGI extension that closes the connection. The server provides it."""
SLOW_PIECES = 5
_PROXY_PAGE = "<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Please sign in</h1></body></html>"

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ExternalSystem:
    """One system: its name in counts and fault rules, its routes, and how to find the institution of a call."""

    name: str
    base: str
    routes: list[Route]
    organisation: Callable[[Request], str | None]
    trace_header: str | None = None
    """The header in which every answer has an id of its own, also an error."""
    expire_token: Callable[[Request], None] | None = None


class FrontDoor:
    """The ASGI application of one system."""

    def __init__(self, world: World, system: ExternalSystem) -> None:
        self._world = world
        self._system = system
        base = re.escape(system.base)
        self._names = {id(route): re.sub(rf"^{base}|:\w+(?=}})", "", route.path) or "/" for route in system.routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        await request.body()
        route, allowed = self._route(scope)
        name = f"{request.method} {self._names[id(route)] if route else '(unknown)'}"
        org_id = self._system.organisation(request)
        self._world.traffic.arrived(self._system.name, name)
        delay, fault = self._world.faults.draw(self._system.name, request.method, scope["path"], org_id)
        if delay:
            await asyncio.sleep(delay)
        status = await self._answer(route, request, fault, send, allowed=allowed)
        self._world.traffic.answered(
            self._system.name, request.method, scope["path"], request.url.query, name, status=status,
            fault=fault.kind if fault else None, org_id=org_id, headers=scope["headers"],
        )  # fmt: skip
        self._world.waiting.changed()

    def _route(self, scope: Scope) -> tuple[Route | None, bool]:
        """The route of a call, and whether it accepts the method."""
        other: Route | None = None
        for route in self._system.routes:
            match, child = route.matches(scope)
            if match is Match.FULL:
                scope["path_params"] = child["path_params"]
                return route, True
            if match is Match.PARTIAL:
                other = route
        return other, False

    async def _answer(
        self, route: Route | None, request: Request, fault: FaultRule | None, send: Send, *, allowed: bool
    ) -> int:
        """Answer the call. Return the status that the caller got, or 0 for none."""
        effect = fault is None or fault.after_effect or fault.kind == "slow_body"
        if not effect:
            response = Response()
        elif route is None or not allowed:
            response = Response(status_code=404 if route is None else 405)
        else:
            response = await route.endpoint(request)
        if fault is not None:
            if fault.kind == "drop":
                await self._hang_up(request)
                return 0
            if fault.kind == "slow_body":
                await self._send_slowly(response, send, fault.seconds)
                return response.status_code
            response = self._faulty(fault, request)
        self._trace(response)
        await response(request.scope, request.receive, send)
        return response.status_code

    def _faulty(self, fault: FaultRule, request: Request) -> Response:
        match fault.kind:
            case "html":
                response = Response(_PROXY_PAGE, fault.status, media_type="text/html")
            case "invalid_json":
                response = Response('{"data": [{"id": 1,', fault.status, media_type="application/json")
            case "not_found_body":
                response = Response("<h1>404 Not Found</h1>", fault.status, media_type="text/html")
            case _:
                response = Response(status_code=fault.status)
        if fault.kind == "expired_token" and self._system.expire_token:
            self._system.expire_token(request)
        if fault.retry_after is not None:
            response.headers["Retry-After"] = str(fault.retry_after)
        return response

    def _trace(self, response: Response) -> None:
        if self._system.trace_header:
            response.headers[self._system.trace_header] = uuid.uuid4().hex

    async def _hang_up(self, request: Request) -> None:
        """Close the connection. Wait until the server has noticed, so that it sends no answer of its own."""
        request.scope["extensions"][HANG_UP]()
        while (await request.receive())["type"] != "http.disconnect":
            pass

    async def _send_slowly(self, response: Response, send: Send, seconds: float) -> None:
        self._trace(response)
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        body = bytes(response.body)
        size = max(1, -(-len(body) // SLOW_PIECES))
        for start in range(0, len(body), size):
            await asyncio.sleep(seconds / SLOW_PIECES)
            await send({"type": "http.response.body", "body": body[start : start + size], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
