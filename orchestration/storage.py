"""Where Dagster keeps runs, events and schedules: SQLite by default, PostgreSQL by an environment variable.

`dagster.yaml` can read a value from the environment, but cannot choose between two storages; this class does. Production and
a newcomer's machine so share one file. Nothing of casebridge is kept here: that is MongoDB's.
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
    """Never built: makes one of Dagster's own storages when a process of Dagster starts. All must see the same variable."""

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
