"""Decides who may call WISEflow: by a token for OAuth2 client credentials, or by the static key (contract 4.1).

What a caller may see depends on its licence: see ``wiseflow``.
"""

from __future__ import annotations

import time
import uuid

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from simulators.bodies import media_type, read_form
from simulators.institution import Institution
from simulators.rate_limit import RateLimit
from simulators.state import IssuedToken, World

TOKEN_LIFETIME_S = 3_599
FORM = "application/x-www-form-urlencoded"


class Access:
    """The credential sets of all licences."""

    def __init__(self, world: World) -> None:
        self._world = world

    def caller(self, request: Request) -> Institution | None:
        """The institution whose valid token or key the call has. None if it has none."""
        institution = self._of_token(request) if "authorization" in request.headers else self._of_key(request)
        if institution is None or not institution.wiseflow_credentials_valid:
            return None
        return institution

    def limit(self, institution: Institution) -> RateLimit:
        """The rate limit of the institution's credential set."""
        credential = institution.client_id or institution.api_key or institution.org_id
        return self._world.rate_limits.setdefault(credential, RateLimit(self._world.rates))

    def expire_token(self, request: Request) -> None:
        """Refuse the token of this call from now on."""
        self._world.tokens.pop(_bearer(request), None)

    async def issue_token(self, request: Request) -> Response:
        """``POST /oauth2/token``, with the client secret in the form."""
        if media_type(request) != FORM:
            return _token_error("invalid_request", "the body must be a form")
        try:
            form = read_form(await request.body())
        except ValueError:
            return _token_error("invalid_request", "the body is no text")
        if form.get("grant_type") != "client_credentials":
            return _token_error("unsupported_grant_type", "grant_type must be client_credentials")
        for institution in self._world.institutions.values():
            known = institution.client_id is not None and institution.client_id == form.get("client_id")
            if known and institution.client_secret == form.get("client_secret"):
                if institution.wiseflow_credentials_valid:
                    return JSONResponse(self._new_token(institution))
                break
        return _token_error("invalid_client", "client authentication failed")

    def _new_token(self, institution: Institution) -> dict[str, str | int]:
        token = uuid.uuid4().hex
        self._world.tokens[token] = IssuedToken(institution.org_id, time.time() + TOKEN_LIFETIME_S)
        return {"access_token": token, "expires_in": TOKEN_LIFETIME_S, "token_type": "bearer", "scope": "license"}

    def _of_token(self, request: Request) -> Institution | None:
        token = self._world.tokens.get(_bearer(request))
        if token is None or token.valid_until <= time.time():
            return None
        return self._world.institutions.get(token.org_id)

    def _of_key(self, request: Request) -> Institution | None:
        key = request.headers.get("x-api-key")
        for institution in self._world.institutions.values():
            if key is not None and institution.api_key == key:
                return institution
        return None


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def _token_error(error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, 400)
