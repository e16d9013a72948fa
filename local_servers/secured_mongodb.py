"""The embedded MongoDB-protocol server, secured as in production: with a user, a password and TLS. It is no replica set."""

import secrets
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from pymongo import MongoClient

from local_servers.child_process import Children
from local_servers.mongodb import EmbeddedMongoDB

USER: Final = "case process"
AWKWARD: Final = "@/:%?#"
"""Characters that must be escaped in an address. Every password ends with them."""


class SecuredMongoDB(EmbeddedMongoDB):
    """A server with the user `USER`, whose password is `password`. It has `certificate`, which `authority` has signed."""

    def __init__(
        self, children: Children, authority: Path, certificate: Path, key: Path, name: str = "mongodb-secured"
    ) -> None:
        self.password = secrets.token_urlsafe(16) + AWKWARD
        self._authority = authority
        super().__init__(children, name)
        # The user can only be created while the server asks for no login.
        with MongoClient[dict[str, object]](super().uri) as client:
            client.admin.command("createUser", USER, pwd=self.password, roles=["root"])
        self.child.stop()
        self.arguments = ("--auth", "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
        self.restart()

    @property
    def uri(self) -> str:
        return self.uri_with(self.password)

    def uri_with(self, password: str) -> str:
        """The address with this password, right or wrong."""
        options = urlencode({"tls": "true", "tlsCAFile": str(self._authority), "authSource": "admin"})
        return f"mongodb://{quote(USER)}:{quote(password, safe='')}@127.0.0.1:{self.port}/?{options}"
