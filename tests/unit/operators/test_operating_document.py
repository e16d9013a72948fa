"""docs/operating.md explains every code that an alert can have: what it means, and what to do."""

import ast
import re
from pathlib import Path

import pytest

from resources.kafka.causes import CAUSES, NEXT_ACTIONS
from tests.support.source_calls import calls, name_of

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "operating.md").read_text()
WHOLE_CODE = re.compile(r"[a-z_]+\.[a-z_0-9]+")


def codes() -> set[str]:
    """Whole codes of errors that are raised, and the endings that a client adds to its system's name."""
    found = set()
    for _, call in calls():
        texts = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if name_of(call).endswith("Error") and texts and WHOLE_CODE.fullmatch(texts[0]):
            found.add(texts[0])
        elif name_of(call) == "Refusal" or (name_of(call) == "_code" and texts):
            found.add(f"….{texts[0]}")
    return found


def test_the_search_finds_codes() -> None:
    assert {"wiseflow.flow_missing", "….credentials_refused", "fs.row_unreadable", "….exam_unknown"} <= codes()


@pytest.mark.parametrize("code", sorted(codes()))
def test_each_code_is_explained(code: str) -> None:
    assert f"`{code}`" in DOCUMENT if not code.startswith("….") else f"{code[1:]}`" in DOCUMENT


@pytest.mark.parametrize("code", sorted({*NEXT_ACTIONS, *CAUSES.values()}))
def test_each_code_for_an_outage_of_kafka_is_explained(code: str) -> None:
    assert f"`{code}`" in DOCUMENT
    assert NEXT_ACTIONS[code]
