"""The project as a package: which modules are installed, on which Python, with which locked dependencies."""

import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = (
    "casebridge",
    "resources",
    "assets",
    "sensors",
    "orchestration",
    "command_line",
    "demo",
    "local_servers",
    "simulators",
)
LOCKS = (
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-deploy.txt",
    "requirements-uv.txt",
    "bench/requirements.txt",
)
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(lock: str) -> dict[str, list[str]]:
    """Each pin of a lock file, as name → its hashes."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in (ROOT / lock).read_text().splitlines():
        if pin := PIN.match(line):
            name = normalised(pin["name"])
            found[name] = []
        elif digest := re.fullmatch(r"\s+--hash=sha256:([0-9a-f]{64})( \\)?", line):
            found[name].append(digest[1])
        else:
            pytest.fail(f"{lock}: neither a pin nor a hash: {line}")
    return found


def wanted(source: str) -> set[str]:
    """The names in a `.in` file, without those of the files that it includes."""
    lines = (line.split("#")[0].strip() for line in (ROOT / source).read_text().splitlines())
    return {normalised(re.split(r"[\[<>=~!; ]", line)[0]) for line in lines if line and not line.startswith("-")}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_resolves_inside_the_repository(package: str) -> None:
    """`assets` and `resources` are common names. They must not resolve to another distribution."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin) == ROOT / package / "__init__.py"


def test_the_build_lists_exactly_the_existing_packages(project: dict[str, Any]) -> None:
    listed = {pattern.removesuffix("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    there = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "tools", "bench"}
    assert listed == there == set(PACKAGES)


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_the_embedded_server_has_wheels_for_each_supported_python(project: dict[str, Any]) -> None:
    assert project["project"]["requires-python"] == ">=3.11,<3.14"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_of_a_lock_has_hashes(lock: str) -> None:
    assert [name for name, hashes in pins(lock).items() if not hashes] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


@pytest.mark.parametrize(
    ("source", "lock"),
    [
        ("requirements.in", "requirements.txt"),
        ("requirements.in", "requirements-dev.txt"),
        ("requirements-dev.in", "requirements-dev.txt"),
        ("requirements-celery.in", "requirements-dev.txt"),
        ("requirements.in", "requirements-deploy.txt"),
        ("requirements-deploy.in", "requirements-deploy.txt"),
        ("requirements-celery.in", "requirements-deploy.txt"),
        ("requirements-kubernetes.in", "requirements-deploy.txt"),
        ("bench/requirements.in", "bench/requirements.txt"),
    ],
)
def test_each_requirement_is_pinned(source: str, lock: str) -> None:
    assert wanted(source) - pins(lock).keys() == set()


def versions(lock: str) -> dict[str, str]:
    found = filter(None, map(PIN.match, (ROOT / lock).read_text().splitlines()))
    return {normalised(pin["name"]): pin["version"] for pin in found}


def test_the_locks_agree() -> None:
    """Tests and production install the same versions."""
    production, tested, deployed = map(
        versions, ("requirements.txt", "requirements-dev.txt", "requirements-deploy.txt")
    )
    assert production.items() <= tested.items()
    assert production.items() <= deployed.items()
    assert {name for name in tested.keys() & deployed.keys() if tested[name] != deployed[name]} == set()


def test_the_build_backend_comes_from_the_lock(project: dict[str, Any]) -> None:
    """The editable install runs without isolation, so that it downloads nothing outside the lock."""
    assert project["build-system"]["build-backend"] == "setuptools.build_meta"
    assert "setuptools" in pins("requirements-dev.txt")
