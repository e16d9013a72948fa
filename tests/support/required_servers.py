"""Skips a test whose server is not installed; in CI the test fails instead.

A newcomer's machine may lack a browser or a database server. CI's machine has all of them (`make servers` installs them), and
there a skipped ring would hide a broken one.
"""

import os
from typing import NoReturn

import pytest


def required_in_ci(reason: str) -> NoReturn:
    """Skip the running test or fixture with `reason`; under `CI=true` fail it instead."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"Required in CI: {reason}", pytrace=False)
    pytest.skip(reason)
