"""Senseless arguments: a command says what is wrong with them (exit code 2 or 3), and never ends with a defect."""

import pytest
from typer.testing import CliRunner

from command_line.main import application
from tests.support.world import World

HALF: str = "\udcff"  # how Python reads a byte that is no UTF-8
LONG: str = "9" * 5000
ARGUMENTS: tuple[tuple[str, ...], ...] = (
    ("where", "x+\u00b2"), ("where", f"x+{LONG}"), ("where", f"x+{'9' * 30}"), ("where", HALF), ("where", f"{HALF}+1"),
    ("where", f"{LONG}||A||1||S||2025||H+1"), ("where", f"217||{HALF}||1||S||2025||H+1"), ("where", "+"), ("where", ""),
    ("where", "%ff+1"), ("where", "a\x00b"), ("where", "[/sak/4711]"),
    ("dead", "show", HALF), ("dead", "show", "[/]"), ("dead", "show", "c", "--queue", HALF),
    ("dead", "list", "--institution", HALF), ("dead", "list", "--institution", "\x1b[2J"), ("dead", "list", "--queue", HALF),
    ("dead", "list", "--code", HALF), ("dead", "list", "--case", HALF), ("dead", "list", "--status", HALF),
    ("dead", "list", "--since", "99999d"), ("dead", "list", "--since", "0001-01-01T00:00+14:00"),
    ("dead", "list", "--before", "9999-12-31T23:59-14:00"), ("dead", "list", "--since", "\u00b2d"),
    ("dead", "list", "--limit", str(2**40)), ("dead", "list", "--limit", "9" * 30), ("dead", "list", "--limit", "0"),
    ("dead", "replay", "--for-real", "--reason", HALF), ("dead", "replay", "--for-real", "--reason", "x", "--asked-by", HALF),
    ("dead", "discard", "--for-real", "--reason", HALF), ("dead", "replay", "--limit", "9" * 30),
    ("sync", "--reach-back-days", "nan"), ("sync", "--reach-back-days", "inf"), ("sync", "--reach-back-days", "1e12"),
    ("sync", "--reach-back-days", "-1"), ("sync", "--institution", HALF), ("sync", "--institution", "[/]"),
    ("sync", "--wait", "nan"), ("sync", "--wait", "-1"), ("sync", "--wait", "inf"),
)  # fmt: skip


def test_no_argument_ends_a_command_with_a_defect(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    for arguments in ARGUMENTS:
        done = CliRunner().invoke(application, list(arguments))
        description = f"{ascii(arguments)[:80]}: exit {done.exit_code}, {type(done.exception).__name__}"
        assert done.exception is None or isinstance(done.exception, SystemExit), description
        assert done.exit_code in {0, 2, 3, 4}, description
