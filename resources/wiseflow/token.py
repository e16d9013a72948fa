"""The authorisation of calls to WISEflow: an access token by OAuth2 client credentials, or a static key (contract 4.1).

All threads of an institution share one token. It is renewed before it expires, and once when it is refused. Even if many threads
see the refusal, only one of them asks for a new token.
"""

import math
import time
from dataclasses import dataclass, field
from typing import Final, Protocol

from pydantic import BaseModel, Field, ValidationError
from requests.auth import AuthBase

from casebridge.errors import AuthBrokenError
from casebridge.secrets import Secrets
from resources.http.client import HeaderAuth, HttpCall, HttpClient, Refusal
from resources.short_cache import Entry, ShortCache

IN_A_HEADER: Final = r"^[\x21-\x7e]+$"
"""What a header can contain. Anything else is not a token but perhaps a proxy's answer, and no fault of the credentials."""
LONGEST_TOKEN: Final = 16_384
USUAL_SECONDS: Final = 3600.0
"""The life of a token whose answer does not say how long it lasts (RFC 6749 allows that)."""
SHORTEST_USE: Final = 0.5
"""The least part of a token's life for which it is used, if its life is hardly longer than the margin."""

BAD_CLIENT: Final = Refusal(
    AuthBrokenError,
    "credentials_refused",
    "WISEflow issues no token for the institution's client.",
    "Renew client id and secret in WISEflow's licence administration; the messages wait and go on by themselves.",
)


class Credential(Protocol):
    """Gives calls their authorisation."""

    def authorisation(self) -> AuthBase: ...

    def refused(self, authorisation: AuthBase) -> bool:
        """Note that WISEflow refused an authorisation. Return whether a try with another one makes sense."""
        ...

    def renew(self) -> bool:
        """Fetch a new authorisation and return true. Return false if there is nothing to fetch."""
        ...


class ApiKey:
    """A static key. It cannot be renewed."""

    def __init__(self, secrets: Secrets, credential_ref: str) -> None:
        self._secrets = secrets
        self._credential_ref = credential_ref

    def authorisation(self) -> AuthBase:
        return HeaderAuth("x-api-key", self._secrets.api_key(self._credential_ref))

    def refused(self, authorisation: AuthBase) -> bool:  # noqa: ARG002 every key is the same key
        return False

    def renew(self) -> bool:
        return False


class _TokenAnswer(BaseModel):
    access_token: str = Field(pattern=IN_A_HEADER, max_length=LONGEST_TOKEN)
    expires_in: float | None = None


@dataclass(frozen=True)
class AccessToken:
    """A token, and the seconds of its life from its issue."""

    value: str = field(repr=False)
    expires_in: float

    def usable_seconds(self, margin: float) -> float:
        return max(self.expires_in - margin, self.expires_in * SHORTEST_USE)


class _TokenAuth(HeaderAuth):
    """A token in a call, with its cache entry. After a refusal, that entry is replaced."""

    def __init__(self, entry: Entry[AccessToken]) -> None:
        super().__init__("Authorization", f"Bearer {entry.value.value}")
        self.entry = entry


class OAuth2Token:
    """A token that threads share. It is renewed `margin` seconds before it expires."""

    def __init__(self, http: HttpClient, secrets: Secrets, credential_ref: str, margin: float) -> None:
        self._http = http
        self._secrets = secrets
        self._credential_ref = credential_ref
        self._token: ShortCache[str, AccessToken] = ShortCache(
            lifetime=lambda token: token.usable_seconds(margin), capacity=1
        )

    def authorisation(self) -> AuthBase:
        return _TokenAuth(self._token.get(self._credential_ref, self._issue))

    def refused(self, authorisation: AuthBase) -> bool:
        if isinstance(authorisation, _TokenAuth):
            self._token.get(self._credential_ref, self._issue, instead_of=authorisation.entry)
        return True

    def renew(self) -> bool:
        began = time.monotonic()
        entry = self._token.get(self._credential_ref, self._issue)
        if entry.loaded_at < began:
            self._token.get(self._credential_ref, self._issue, instead_of=entry)
        return True

    def _issue(self) -> AccessToken:
        client_id, client_secret = self._secrets.oauth2_client(self._credential_ref)
        answer = self._http.send(
            HttpCall(
                "POST",
                "/oauth2/token",
                form={"client_id": client_id, "client_secret": client_secret, "grant_type": "client_credentials"},
                refusals={400: BAD_CLIENT, 401: BAD_CLIENT, 403: BAD_CLIENT},
            )
        )
        try:
            issued = _TokenAnswer.model_validate(answer.json())
        except ValidationError:
            raise answer.unreadable(
                "no access_token that a header can carry, or an expires_in that is no number"
            ) from None
        seconds = USUAL_SECONDS if issued.expires_in is None else issued.expires_in
        # If the number is not finite or below 0, the token is used for this call only.
        return AccessToken(issued.access_token, max(0.0, seconds) if math.isfinite(seconds) else 0.0)
