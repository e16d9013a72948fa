"""Rules for the repository's Python that ruff and mypy do not check: lengths, types and their exceptions."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDERS = tuple(sorted(path.parent for path in ROOT.glob("*/__init__.py")))
FILES = tuple(sorted(file for folder in FOLDERS for file in folder.rglob("*.py")))
MOST_LINES = 400
IGNORE = re.compile(r"#\s*type:\s*ignore(?P<code>\[[\w, -]+\])?(?P<reason>.*)")
REASON = re.compile(r"  # \w.+")


def test_no_file_is_too_long() -> None:
    lengths = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert {"casebridge/settings.py", "tests/conftest.py", "bench/row.py"} <= lengths.keys()
    assert {file: lines for file, lines in lengths.items() if lines > MOST_LINES} == {}


def unexplained(text: str) -> list[str]:
    """The comments that switch mypy off for a line without naming the error or without a reason."""
    return [
        found[0]
        for found in IGNORE.finditer(text)
        if not found["code"] or not REASON.fullmatch(found["reason"].rstrip())
    ]


def test_each_line_that_mypy_ignores_has_a_reason() -> None:
    found = {str(file.relative_to(ROOT)): unexplained(file.read_text(encoding="utf-8")) for file in FILES}
    found.pop(str(Path(__file__).relative_to(ROOT)))
    assert {file: comments for file, comments in found.items() if comments} == {}


@pytest.mark.parametrize(
    ("comment", "enough"),
    [
        ("# type: ignore", False),
        ("# type: ignore[misc]", False),
        ("# type: ignore[misc]  #", False),
        ("# type: ignore  # it has no types", False),
        ("# type: ignore[misc]  # it has no types", True),
        ("# type: ignore[misc, attr-defined]  # it has no types", True),
    ],
)
def test_the_reason_comes_after_the_code_of_the_error(comment: str, enough: bool) -> None:
    assert unexplained(f"x = 1  {comment}\n") == ([] if enough else [comment])


def test_mypy_checks_every_package_that_is_no_test() -> None:
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert mypy["strict"] is True
    assert set(mypy["packages"]) == {folder.name for folder in FOLDERS} - {"tests"}
