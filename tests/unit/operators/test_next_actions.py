"""Every next action can be followed: what it names exists, and it asks for nothing that is impossible where it is raised.

The actions are collected from the source (each `Refusal`, `Cause` and error that is built) and from the tables of
docs/operating.md. tests/integration/exams/test_actions_followed.py tries what an action leads to.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click
import pytest

from tests.support.commands import all_commands
from tests.support.source_calls import calls, name_of

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "operating.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
DOCUMENTS = "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
MODELS = "".join(path.read_text() for path in (ROOT / "casebridge" / "exams").glob("*.py"))
POLLS = (
    "casebridge/exams/explanations/request_reader.py",
    "casebridge/exams/explanations/answer_poller.py",
    "resources/http/client.py",
    "resources/http/causes.py",
)
"""Modules whose errors may end a poll. Then there is no message to replay."""
VERBS = re.compile(
    r"\b(accept|activate|add|ask|bring|change|check|compare|complete|connect|correct|discard|find|get|give|have|install|it is "
    r"tried|launch|let|look|make|mend|nothing|raise|register|remind|remove|renew|replay|report|restart|restore|run|see|send|"
    r"set|show|start|switch|take|wait|write)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Action:
    """One next action and its place."""

    where: str
    text: str

    def __str__(self) -> str:
        return self.where


def words_of(node: ast.AST) -> str | None:
    """A text in the source. Each part that it puts in is shown as `…`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
    return None


def in_source() -> Iterator[Action]:
    for file, call in calls():
        # Error(code, cause, next action), Refusal(kind, code, cause, next action), Cause(code, kind, what, next action)
        place = {"Refusal": 3, "Cause": 3}.get(name_of(call), 2 if name_of(call).endswith("Error") else None)
        if place is not None and len(call.args) > place and (text := words_of(call.args[place])):
            yield Action(f"{file}:{call.lineno}", text)


def in_document() -> Iterator[Action]:
    table = DOCUMENT.split("## What each alert means")[1].split("\n## ")[0]
    for line in table.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 3 and cells[0].startswith("`"):
            yield Action(f"operating.md {cells[0]}", cells[2])


ACTIONS = [*in_source(), *in_document()]


def test_the_search_finds_actions() -> None:
    places = {action.where.partition(":")[0] for action in ACTIONS}
    assert {
        "resources/http/causes.py",
        "resources/wiseflow/exam_system.py",
        "casebridge/sources/record_values.py",
    } <= places
    assert len(ACTIONS) > 100


def missing_names(text: str) -> Iterator[str]:
    """What an action names and does not exist: a setting, a field, a page."""
    for name in re.findall(r"CASEBRIDGE_[A-Z0-9_]+(?:__[A-Z0-9_]+)?", text.replace("…", "")):
        if name not in SETTINGS:
            yield name
    for name in re.findall(r"`?\b([a-z]+(?:\.[a-z]+)?[A-Z][A-Za-z]+)\b`?", text):
        field = name.rpartition(".")[2]
        is_stored = field in {"configDB", "meldingQ", "begrunnelse", "slackBlacklists"} or name.startswith(
            ("oai.", "configDB.")
        )
        if not is_stored and field not in MODELS and field not in DOCUMENTS:
            yield name
    for page in re.findall(r"docs/[a-z-]+\.md", text):
        if not (ROOT / page).is_file():
            yield page


@pytest.mark.parametrize("action", ACTIONS, ids=str)
def test_each_action_says_what_to_do_and_names_only_what_exists(action: Action) -> None:
    assert VERBS.search(action.text), action.text
    assert list(missing_names(action.text)) == []
    if "Nothing to do" in action.text or action.text.startswith("nothing"):
        # Even a failure that passes by itself may last. Then a person wants to know what to look at.
        assert re.search("unless|comes|at no cost|fetched", action.text), action.text


def test_a_name_that_does_not_exist_is_found() -> None:
    text = "Set CASEBRIDGE_NO_SUCH_SETTING, correct `noSuchField`, and read docs/no-such-page.md."
    assert list(missing_names(text)) == ["CASEBRIDGE_NO_SUCH_SETTING", "noSuchField", "docs/no-such-page.md"]


def options_of(command: list[str]) -> set[str]:
    """The options of a command, by its words. Raises `KeyError` if there is no such command."""
    found = all_commands()[command[0]]
    for word in command[1:]:
        found = cast("click.Group", found).commands[word]
    return {option for parameter in found.params for option in parameter.opts}


@pytest.mark.parametrize(
    "command",
    sorted(
        set(re.findall(r"casebridge ((?:[a-z]+ ?)+(?:(?:--?[a-z-]+|[A-Z_]+|…|\"[^\"]*\"|'[^']*')[ ]?)*)", DOCUMENTS))
    ),
)
def test_each_command_of_the_documents_exists_with_its_options(command: str) -> None:
    words = command.split()
    first = [word for word in words[:2] if re.fullmatch("[a-z]+", word)]
    known = all_commands()
    if first[0] not in known:
        pytest.fail(f"casebridge {first[0]} is no command") if re.search(
            rf"`casebridge {first[0]}\b", DOCUMENTS
        ) else None
        return
    path = first if first[0] == "dead" and len(first) == 2 else first[:1]
    for option in (word for word in words if word.startswith("--")):
        assert option in options_of(path), f"casebridge {' '.join(path)} has no {option}"


@pytest.mark.parametrize("action", [one for one in ACTIONS if one.where.startswith(POLLS)], ids=str)
def test_where_a_poll_may_end_there_is_no_message_to_replay(action: Action) -> None:
    assert not re.search(r"\breplay|\b(?:the|a) message\b", action.text), action.text
