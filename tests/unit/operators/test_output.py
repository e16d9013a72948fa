"""Texts from outside are shown unchanged by every command. `rich` would read `[/sak/4711]` as markup."""

import ast
import io
import json
import logging
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import RenderableType

import command_line.dead as dead_command
import command_line.status as status_command
import command_line.where as where_command
from casebridge.operators.case_history import CaseHistory, Milestone
from casebridge.operators.dead_letter import Instruction, LetterStory
from casebridge.operators.status import FailureGroup, InstitutionStatus, QueueDepth, Status
from command_line.output import LineFormatter, console, panel, print_json, styled, table

ROOT = Path(__file__).parents[3]
AT = datetime(2026, 11, 2, 8, 30, 15, tzinfo=UTC)
LIKE_MARKUP = [
    "[/sak/4711]",
    "[bold]sak[/bold]",
    "[link=x]",
    "[/]",
    "[red",
    ":smile:",
    "\\[bold]",
    "[@click=x]a[/]",
    "a]b[c",
    "{x}",
    "{0}",
]


def shown(*what: RenderableType) -> str:
    written = io.StringIO()
    out = console(width=400, file=written)
    for one in what:
        out.print(one)
    return written.getvalue()


@pytest.mark.parametrize("text", LIKE_MARKUP)
def test_a_text_is_shown_as_it_is(text: str) -> None:
    pieces: list[RenderableType] = [
        text,
        table(text, (text, "b"), [(text, text)]),
        panel(text, text),
        styled("[bold]{text}[/] and {text}", text=text),
    ]
    counts = [shown(piece).count(text) for piece in pieces]
    assert counts == [1, 4, 2, 2]


@pytest.mark.parametrize("text", LIKE_MARKUP)
def test_every_display_shows_a_text_unchanged(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    for command in (status_command, where_command, dead_command):
        monkeypatch.setattr(command, "results", console(width=400, file=written))
    group = FailureGroup(text, "dead", text, text, 1, {text}, [text])
    status_command.show_status(
        Status(
            AT,
            [QueueDepth(text, text, 1, AT)],
            [InstitutionStatus(text, paused=text)],
            [group],
            {},
            0,
            1,
            None,
            {text: text},
        )
    )
    instruction = Instruction(AT, text, text)
    stone = Milestone(AT, text, text, True, text, 1)
    where_command.show_history(CaseHistory(text, text, text, text, AT, text, instruction, [stone], [text], text))
    error = {"at": AT, "attempt": 1, **dict.fromkeys(("step", "category", "code", "cause", "nextAction"), text)}
    document = {
        "_id": text, **dict.fromkeys(("correlationId", "institution", "queue", "status"), text), "errors": [error],
        "steps": {text: {"at": AT}}, "origin": {"topic": text}, "replays": [{"at": AT, "by": text, "reason": text}],
        "discardedAt": AT, "discardedBy": text, "discardReason": text,
    }  # fmt: skip
    dead_command.show_story(LetterStory.from_document(document))
    assert written.getvalue().count(text) > 30


STEERING = [
    "\x1b[2J",
    "\x1b]0;x\x07",
    "\r",
    "\x9b31m",
    "\u202egnp.exe",
    "\u2066",
    "\x00",
    "\x7f",
    "\ud800",
    "\x85",
    "\u2028",
]


@pytest.mark.parametrize("text", STEERING, ids=ascii)
def test_no_text_can_control_the_terminal(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces: list[RenderableType] = [
        f"a{text}b",
        table(f"a{text}b", (f"a{text}b", "b"), [(f"a{text}b", f"a{text}b")]),
        panel(f"a{text}b", f"a{text}b"),
        styled("[bold]{text}[/]", text=f"a{text}b"),
    ]
    written = "".join(shown(piece) for piece in pieces)
    print_json({f"a{text}b": [f"a{text}b"]})
    printed = capsys.readouterr().out

    for letter in text:
        if not letter.isprintable():
            assert letter not in written + printed
    assert json.loads(printed) == {f"a{text}b": [f"a{text}b"]}


def test_a_log_line_is_always_one_line() -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(LineFormatter("%(levelname)s %(message)s"))
    handler.emit(logging.LogRecord("x", logging.INFO, "x", 1, "case %s", ("a\nERROR forged\r\x1b[2J",), None))
    assert written.getvalue() == "INFO case a\\nERROR forged\\r\\x1b[2J\n"


def sources() -> Iterator[Path]:
    yield from (ROOT / "command_line").rglob("*.py")


@pytest.mark.parametrize("path", sorted(sources()), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_command_makes_a_console_or_reads_markup_of_its_own(path: Path) -> None:
    if path.name == "output.py":
        return
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = {call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "") for call in calls}
    assert not names & {"Console", "from_markup", "Panel", "Table"}
    for call in calls:
        name = getattr(call.func, "id", "")
        if name == "styled":
            template = call.args[0]
            assert isinstance(template, ast.Constant), f"{path.name}:{call.lineno} builds a template from values"
            fields = {field for _, field, _, _ in string.Formatter().parse(template.value) if field}
            assert fields == {keyword.arg for keyword in call.keywords}, f"{path.name}:{call.lineno}"
        assert not any(keyword.arg == "markup" and getattr(keyword.value, "value", None) for keyword in call.keywords)
