"""Chooses where runs are executed, by an environment variable: by the code server, or as Celery tasks.

`dagster.yaml` can read a value from the environment, but it cannot choose between two launchers. This class does that. On
Kubernetes, Dagster's chart writes a `dagster.yaml` of its own, and the chart's values choose (`deploy/values.yaml`).

Runs are distributed, steps are not. A run builds one `Process`. An executor that gave each step to another process would
need a connection, a token and some seconds for each step.
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
    """Makes one of Dagster's own launchers when a process of Dagster starts. There is never an instance of this class.

    All processes of Dagster must have the same value of the variable.
    """

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, _config_value: Mapping[str, Any]) -> Any:
        """Return a launcher of Dagster. Dagster's signature would ask for an instance of this class, hence `Any`.

        Raises `ValueError` for an unknown value of the variable.
        """
        chosen = os.environ.get(RUN_LAUNCHER) or LOCAL
        if chosen == LOCAL:
            return DefaultRunLauncher(inst_data=inst_data)
        if chosen == CELERY:
            # Celery is optional: `casebridge[celery]`
            from orchestration.celery_runs import celery_run_launcher  # noqa: PLC0415

            return celery_run_launcher(inst_data)
        raise ValueError(f"{RUN_LAUNCHER} must be {LOCAL} or {CELERY}")
