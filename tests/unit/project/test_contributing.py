"""The targets, rings, paths and commands that CONTRIBUTING.md, the hosted CI and the pre-commit hooks name exist."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import RINGS

ROOT = Path(__file__).parents[3]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
TARGETS = {
    name
    for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    if (target := re.match(r"^([a-z][a-z ]*):(?!=)", line))
    for name in target[1].split()
}
RELEASE = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)
KINDS_OF_CHANGES = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    """YAML 1.1 reads `on` as true, so a key need not be a text."""
    return dict(yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def job(workflow: dict[Any, Any]) -> dict[str, Any]:
    (only,) = workflow["jobs"].values()
    return dict(only)


def hooks() -> list[dict[str, Any]]:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    return [{**hook, "repo": repository["repo"]} for repository in repositories for hook in repository["hooks"]]


def test_each_target_that_contributing_names_exists() -> None:
    named = set(re.findall(r"\bmake (?:[A-Z]+=\S+ )*([a-z]+)\b", code_in(CONTRIBUTING)))
    assert {"test", "demo", "lint", "types", "imports", "definitions", "check", "servers"} <= named
    assert named - TARGETS == set()


def code_in(page: str) -> str:
    """The commands of a page: its blocks and its inline code."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*blocks, *inline])


def test_each_path_that_contributing_names_exists() -> None:
    named = set(re.findall(r"(?<![\w./])(?:tests|docs|casebridge|\.ci|\.github)/[\w./-]*", code_in(CONTRIBUTING)))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_contributing_names_each_ring() -> None:
    table = CONTRIBUTING.split("## The rings")[1].split("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == RINGS


def test_the_hosted_ci_runs_the_script_and_nothing_else(job: dict[str, Any]) -> None:
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]
    assert (ROOT / ".ci" / "run").is_file()
    assert job["timeout-minutes"] == 90


def test_the_hosted_ci_may_only_read(workflow: dict[Any, Any], job: dict[str, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in job
    checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False]


def test_actions_of_the_hosted_ci_are_pinned_by_commit(job: dict[str, Any]) -> None:
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert actions
    assert [action for action in actions if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)] == []


def test_the_default_python_of_the_hosted_ci_is_the_oldest_that_is_supported(job: dict[str, Any]) -> None:
    (set_up,) = [step for step in job["steps"] if step.get("uses", "").startswith("actions/setup-python@")]
    versions = set_up["with"]["python-version"].split()
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert oldest.startswith(f">={versions[-1]},")


def test_the_hooks_are_local_and_run_targets_of_the_makefile() -> None:
    assert {hook["entry"] for hook in hooks()} == {"make lint", "make types"}
    for hook in hooks():
        assert (hook["repo"], hook["language"], hook["pass_filenames"]) == ("local", "system", False)
        assert hook["entry"].removeprefix("make ") in TARGETS


def test_the_changelog_begins_with_unreleased_and_has_the_version() -> None:
    releases = [(found["version"], found["date"]) for found in RELEASE.finditer(CHANGELOG)]
    assert releases[0] == ("Unreleased", None)
    assert all(date for _, date in releases[1:])
    assert [date for _, date in releases[1:]] == sorted((str(date) for _, date in releases[1:]), reverse=True)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version in {known for known, _ in releases}


def test_the_changelog_sorts_changes_by_the_kinds_of_keep_a_changelog() -> None:
    assert set(re.findall(r"^### (.+)$", CHANGELOG, flags=re.MULTILINE)) <= KINDS_OF_CHANGES
