"""Where runs are carried out: by the code server, or as Celery tasks, as an environment variable says.

`dagster.yaml` can read a value from the environment, but cannot choose between two launchers; this class does. On Kubernetes
the chart of Dagster writes an instance of its own: there its values choose (`deploy/values.yaml`).

Runs are distributed, not steps: a batch is one process with one bridge, and an executor that gives every step to
another process would cost a connection, a token and seconds for each.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

from dagster._core.launcher import DefaultRunLauncher, RunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData

RUN_LAUNCHER: Final = "CASEBRIDGE_RUN_LAUNCHER"
LOCAL: Final = "local"
CELERY: Final = "celery"


class LauncherFromEnvironment(RunLauncher, ConfigurableClass):
    """Never built: makes one of Dagster's own launchers when a process of Dagster starts. All must see the same variable."""

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, _config_value: Mapping[str, Any]) -> Any:
        """One of Dagster's launchers, where its signature says one of this class."""
        chosen = os.environ.get(RUN_LAUNCHER) or LOCAL
        if chosen == LOCAL:
            return DefaultRunLauncher(inst_data=inst_data)
        if chosen == CELERY:
            # an optional package: `casebridge[celery]`
            from orchestration.celery_runs import celery_run_launcher  # noqa: PLC0415

            return celery_run_launcher(inst_data)
        raise ValueError(f"{RUN_LAUNCHER} must be {LOCAL} or {CELERY}")
