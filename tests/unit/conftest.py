"""The unit ring is plain Python. It is quick because none of its tests loads Dagster."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_dagster() -> Iterator[None]:
    """Fail a test that loads Dagster. Another ring may have loaded it before in this process."""
    before = "dagster" in sys.modules
    yield
    assert before or "dagster" not in sys.modules, "this test loads Dagster"
