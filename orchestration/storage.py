"""Chooses where Dagster keeps runs, events and schedules: in SQLite by default, in PostgreSQL if an environment variable is set.

`dagster.yaml` can read a value from the environment, but it cannot choose between two storages. This class does that. So
production and a newcomer's machine use the same `dagster.yaml`. casebridge's own data is not kept here but in MongoDB.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

POSTGRES_URL: Final = "CASEBRIDGE_POSTGRES_URL"
DAGSTER_HOME: Final = "DAGSTER_HOME"
DEVELOPERS_HOME: Final = Path(".casebridge") / "dagster"
"""Used below the working directory when there is no `DAGSTER_HOME`, as with `dg dev`; git ignores it."""


class StorageFromEnvironment(DagsterStorage):
    """Makes one of Dagster's own storages when a process of Dagster starts. There is never an instance of this class.

    All processes of Dagster must have the same value of the variable.
    """

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, _config_value: Mapping[str, Any]
    ) -> DagsterStorage:
        if url := os.environ.get(POSTGRES_URL):
            return DagsterPostgresStorage(postgres_url=url, inst_data=inst_data)
        home = os.environ.get(DAGSTER_HOME)
        base = Path(home) if home else Path.cwd() / DEVELOPERS_HOME
        return DagsterSqliteStorage.from_local(str(base), inst_data=inst_data)
