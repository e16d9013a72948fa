"""The files of the unit ring do not import Dagster. Tested in a process that has loaded nothing before."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
IMPORT_ALL = """
import importlib, pathlib, sys

files = sorted(pathlib.Path("tests/unit").rglob("*.py"))
assert len(files) > 50
for file in [pathlib.Path("tests/conftest.py"), *files]:
    importlib.import_module(".".join(file.with_suffix("").parts))
    if "dagster" in sys.modules:
        sys.exit(f"{file} imports dagster")
"""


def test_no_file_of_the_unit_ring_imports_dagster() -> None:
    """The fixture `no_dagster` checks what a test imports while it runs."""
    ran = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=ROOT, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
