"""Values that no record of an outside system should have. Tests put them into records: other records must not be affected."""

import json
from collections.abc import Sequence
from typing import Any

from tests.support.world import World

DEEP, DIGITS = "a list nested too deeply", "a number of five thousand digits"
RAW = {f'"{DEEP}"': "[" * 100_000 + "]" * 100_000, f'"{DIGITS}"': "9" * 5000}
MALFORMED: tuple[Any, ...] = (
    None, "", "x", [], {}, [[]], {"id": {"id": []}}, True, 10**30, 1e300, "\ud800", "x" * 200_000, DEEP, DIGITS,
)  # fmt: skip
WHOLE = "the whole row"
SHARES = 4


def malformed_for(field: str, fields: Sequence[str]) -> tuple[Any, ...]:
    """A quarter of the malformed values, another quarter for the next field. So each value is in every fourth field."""
    return MALFORMED[fields.index(field) % SHARES :: SHARES]


def as_sent(value: Any) -> bytes:
    text = json.dumps(value)
    for name, raw in RAW.items():
        text = text.replace(name, raw)
    return text.encode()


def mutated(row: dict[str, Any], field: str, malformed: Any) -> Any:
    if field == WHOLE:
        return malformed
    outer, _, inner = field.partition(".")
    return {**row, outer: {**row.get(outer, {}), inner: malformed} if inner else malformed}


def registered(world: World) -> set[int]:
    return {case["caseId"] for case in world.control.cases() if case["registrations"]}
