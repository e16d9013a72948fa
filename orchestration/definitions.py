"""The code location `casebridge`. `workspace.yaml` and `[tool.dg]` in `pyproject.toml` name this module."""

import dagster as dg

from orchestration.build import build_defs


@dg.definitions
def casebridge() -> dg.Definitions:
    return build_defs()
