"""The calls in the source of casebridge, parsed once for all tests that search them."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("casebridge", "resources", "assets", "sensors", "orchestration")


@cache
def calls() -> tuple[tuple[str, ast.Call], ...]:
    """Each call with its file, such as `resources/http/causes.py`."""
    return tuple(
        (path.relative_to(ROOT).as_posix(), node)
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    )


def name_of(call: ast.Call) -> str:
    """The name that is called, without what stands before its last dot."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
