"""The names of the MongoDB-protocol servers that a contract test may run against."""

import os
from typing import Final

import pytest
from pydantic import SecretStr

EMBEDDED: Final = "embedded"
SECURED: Final = "with user, password and TLS"
NAMED: Final = "of CASEBRIDGE_MONGODB_URI"
NAMED_URI: Final = SecretStr(os.environ.get("CASEBRIDGE_MONGODB_URI", ""))
SERVERS: Final = (EMBEDDED, SECURED, *([NAMED] if NAMED_URI else []))

OF_EACH_KIND: Final = pytest.mark.parametrize(
    "mongodb_server", [server for server in SERVERS if server != SECURED], indirect=True
)
"""For tests that a login and TLS cannot affect: each database product once, the embedded one without login and TLS."""
