"""The repository as a newcomer finds it: everything that the pages name exists, and no file depends on one machine."""

import re
import subprocess
from pathlib import Path

import pytest

from tools import settings_reference

ROOT = Path(__file__).parents[3]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:work|root|home/\w+|Users/\w+)/")
# In pieces, so that this file does not contain them either.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs"),
        ("npmjs", "org"),
        ("deb", "debian"),
        ("maven", "org"),
        ("crates", "io"),
        ("proxy", "golang"),
    )
)


def committed_texts() -> dict[str, str]:
    """Every text file that git tracks or would add, by its path."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git working tree")
    texts = {}
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in path.read_bytes():
            texts[name] = path.read_text(encoding="utf-8")
    assert texts
    return texts


def test_no_file_contains_a_path_of_one_machine() -> None:
    found = {name: match[0] for name, text in committed_texts().items() if (match := MACHINE_PATH.search(text))}
    assert found == {}


def test_no_file_names_a_package_registry() -> None:
    """Each machine chooses its own source of packages."""
    found = {name: host for name, text in committed_texts().items() for host in REGISTRY_HOSTS if host in text}
    assert found == {}


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_readme_names_the_two_commands(command: str) -> None:
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_the_pages_resolve(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    broken = [target for target in targets if not leads_somewhere(page, target)]
    assert broken == []


def leads_somewhere(page: Path, target: str) -> bool:
    """Whether the target of a relative link exists: the file, and the heading of its anchor."""
    name, _, anchor = target.partition("#")
    file = (page.parent / name) if name else page
    return file.exists() and (not anchor or anchor in anchors(file))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub and GitLab make for the headings of a page."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_make_targets_that_the_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {
        name
        for page in PAGES
        for name in re.findall(r"`make ([a-z]+)", page.read_text(encoding="utf-8"))
        if page.exists()
    }
    assert named - targets == set()


def test_the_settings_page_is_what_the_generator_writes() -> None:
    assert settings_reference.PAGE.read_text(encoding="utf-8") == settings_reference.reference(), "run: make settings"


def test_every_variable_of_the_environment_is_documented() -> None:
    """A variable that the code reads and no page explains cannot be found by users."""
    code = {name: text for name, text in committed_texts().items() if name.endswith(".py") and "tests/" not in name}
    read = {variable for text in code.values() for variable in re.findall(r'"(CASEBRIDGE_[A-Z0-9_]*[A-Z0-9])"', text)}
    explained = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {variable for variable in read if variable not in explained} == set()
