"""A command of production loads no simulator, no local server, no development package, and no Dagster."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DEVELOPMENT = {"demo", "simulators", "local_servers", "psutil", "starlette", "uvicorn", "tests", "bench"}
FACE = {"dagster", "assets", "sensors", "orchestration"}
"""Dagster and the libraries for it. Without them a listener starts a second sooner and needs 100 MB less."""
LOAD = """
import json, sys
import typer
from casebridge.secrets import Secrets
from casebridge.settings import Settings
from command_line.main import PRODUCTION, application
from resources.wiring.process import Process

def loaded():
    return sorted({name.partition(".")[0] for name in sys.modules})

root = typer.main.get_command(application)
assert root.get_command(typer.Context(root), "listen") is not None
process = Process(Settings(), Secrets({}))
process.listener()
process.close()
by_listener = loaded()
for name in PRODUCTION:
    assert root.get_command(typer.Context(root), name) is not None, name
print(json.dumps([by_listener, loaded()]))
"""


@pytest.fixture(scope="module")
def loaded() -> tuple[set[str], set[str]]:
    """The top-level packages that a process loads with a wired listener, and with every command of production."""
    ran = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=ROOT,
        env={"CASEBRIDGE_MONGODB__URI": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    by_listener, by_all = json.loads(ran.stdout)
    return set(by_listener), set(by_all)


def test_a_listener_loads_nothing_of_development_and_no_dagster(loaded: tuple[set[str], set[str]]) -> None:
    by_listener, _ = loaded
    assert {"casebridge", "resources", "command_line", "pymongo", "requests"} <= by_listener
    assert by_listener & (DEVELOPMENT | FACE | {"kafka"}) == set()


def test_no_command_of_production_loads_them(loaded: tuple[set[str], set[str]]) -> None:
    _, by_all = loaded
    assert by_all & (DEVELOPMENT | FACE) == set()


@pytest.mark.parametrize("name", sorted(DEVELOPMENT | FACE))
def test_the_forbidden_packages_exist(name: str) -> None:
    assert importlib.util.find_spec(name) is not None
