"""The unit ring is plain Python: it is quick because nothing of it loads Dagster."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_dagster() -> Iterator[None]:
    """Where another ring ran before in this process, Dagster may be there already."""
    before = "dagster" in sys.modules
    yield
    assert before or "dagster" not in sys.modules, "this test loads Dagster"
