"""Slack: posting a message by the web API or by an incoming webhook (contract 12).

Any token of Slack's form is accepted. A channel must be named, but it need not exist.
"""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from simulators.bodies import media_type, read_form, read_json
from simulators.front_door import ExternalSystem
from simulators.state import World

WEBHOOK_PATH = "/services/T0/B0/simulated"


class Slack:
    """The workspace of the simulated systems."""

    def __init__(self, world: World) -> None:
        self._world = world

    def system(self) -> ExternalSystem:
        routes = [
            Route("/api/chat.postMessage", self._post_message, methods=["POST"]),
            Route("/api/api.test", self._api_test, methods=["GET", "POST"]),
            Route("/api/auth.test", self._auth_test, methods=["GET", "POST"]),
            Route(WEBHOOK_PATH, self._webhook, methods=["POST"]),
        ]
        return ExternalSystem("slack", "", routes, lambda _request: None)

    async def _api_test(self, _request: Request) -> Response:
        return JSONResponse({"ok": True, "args": {}})

    async def _auth_test(self, request: Request) -> Response:
        error = _token_error(request, await _read(request))
        if error:
            return JSONResponse({"ok": False, "error": error})
        names = {"team": "simulated", "user": "casebridge", "team_id": "T0", "user_id": "U0"}
        return JSONResponse({"ok": True, "url": "https://simulated.slack.com/"} | names)

    async def _post_message(self, request: Request) -> Response:
        message = await _read(request)
        error = _token_error(request, message) or _message_error(message)
        if error:
            return JSONResponse({"ok": False, "error": error})
        message.pop("token", None)
        ts = self._keep("chat.postMessage", str(message["channel"]), message)
        return JSONResponse({"ok": True, "channel": message["channel"], "ts": ts, "message": message})

    async def _webhook(self, request: Request) -> Response:
        """Accept a message by the incoming webhook, which answers in plain text."""
        try:
            message = read_json(await request.body())
        except ValueError:
            return PlainTextResponse("invalid_payload", 400)
        if not isinstance(message, dict) or not (message.get("text") or message.get("blocks")):
            return PlainTextResponse("no_text", 400)
        self._keep("webhook", None, message)
        return PlainTextResponse("ok")

    def _keep(self, way: str, channel: str | None, message: dict[str, Any]) -> str:
        ts = f"{time.time():.6f}"
        self._world.slack_messages.append({"ts": ts, "way": way, "channel": channel, "message": message})
        return ts


async def _read(request: Request) -> dict[str, Any]:
    """The arguments of a method, as JSON or a form: slack-sdk sends both."""
    body = await request.body()
    if media_type(request) == "application/json":
        try:
            arguments = read_json(body)
        except ValueError:
            return {}
        return arguments if isinstance(arguments, dict) else {}
    try:
        return dict(read_form(body))
    except ValueError:
        return {}


def _token_error(request: Request, arguments: dict[str, Any]) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token if scheme.lower() == "bearer" else str(arguments.get("token", ""))
    if not token:
        return "not_authed"
    return None if token.startswith("xox") else "invalid_auth"


def _message_error(message: dict[str, Any]) -> str | None:
    if not message.get("channel"):
        return "channel_not_found"
    if not any(message.get(part) for part in ("text", "blocks", "attachments")):
        return "no_text"
    return None
