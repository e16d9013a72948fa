"""Credentials, from environment variables only.

`configDB.orgs` has a `credentialRef`, never a secret. The reference is part of the variables' names. For the reference `uis-fs`
they are:

- `CASEBRIDGE_SECRET_UIS_FS_USERNAME` and `…_PASSWORD`;
- for OAuth2 `…_CLIENT_ID` and `…_CLIENT_SECRET`;
- for a static key `…_API_KEY`.
"""

import os
import re
from collections.abc import Mapping

from casebridge.errors import AuthBrokenError


class Secrets:
    """Reads credentials by reference. Values are never stored, printed or put into an error."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    def basic(self, credential_ref: str) -> tuple[str, str]:
        return self._value(credential_ref, "USERNAME"), self._value(credential_ref, "PASSWORD")

    def oauth2_client(self, credential_ref: str) -> tuple[str, str]:
        return self._value(credential_ref, "CLIENT_ID"), self._value(credential_ref, "CLIENT_SECRET")

    def api_key(self, credential_ref: str) -> str:
        return self._value(credential_ref, "API_KEY")

    def _value(self, credential_ref: str, part: str) -> str:
        name = variable_name(credential_ref, part)
        value = self._environment.get(name)
        if not value:
            raise AuthBrokenError(
                "credentials.missing",
                f"The environment variable {name} is not set.",
                "Set it for the listener and for Dagster, then restart them: the institution's requests wait.",
            )
        return value


def variable_name(credential_ref: str, part: str) -> str:
    """The environment variable that holds one part of a credential."""
    return f"CASEBRIDGE_SECRET_{re.sub(r'[^A-Z0-9]+', '_', credential_ref.upper())}_{part}"
