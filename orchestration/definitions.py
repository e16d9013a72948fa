"""The code location `casebridge`: what `workspace.yaml` and `[tool.dg]` in `pyproject.toml` point at."""

import dagster as dg

from orchestration.build import build_defs


@dg.definitions
def casebridge() -> dg.Definitions:
    return build_defs()
