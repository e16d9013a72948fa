"""Dagster's own storage on a real PostgreSQL, selected by an environment variable alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster_postgres import PostgresRunStorage

from casebridge.settings import MongoDBSettings, Settings
from local_servers.postgresql import PostgreSQL
from orchestration.build import build_defs
from tests.support.world import as_environment

ROOT = Path(__file__).parents[3]
COMMAND_SECONDS = 60.0


@pytest.fixture
def installation(
    tmp_path: Path, mongodb_settings: MongoDBSettings, postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The environment of an installation on PostgreSQL. It is set for this process, too."""
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    environment = {
        **as_environment(Settings(mongodb=mongodb_settings)),
        "DAGSTER_HOME": str(tmp_path),
        "CASEBRIDGE_POSTGRES_URL": postgresql.url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


def test_a_run_is_recorded_in_postgresql_and_read_back_by_another_process(
    installation: dict[str, str], tmp_path: Path
) -> None:
    replay = build_defs().get_job_def("replay_dead_letters")
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.run_storage, PostgresRunStorage)
        result = replay.execute_in_process(instance=instance)
    assert result.success

    read_back = subprocess.run(
        [sys.executable, "-m", "dagster", "run", "list"],
        env={**os.environ, **installation},
        capture_output=True,
        text=True,
        check=True,
        timeout=COMMAND_SECONDS,
    )
    assert result.run_id in read_back.stdout
    assert "replay_dead_letters" in read_back.stdout
    assert list(tmp_path.rglob("*.db")) == [], "nothing may be kept in SQLite beside it"


def test_the_events_of_a_run_outlive_the_instance_that_wrote_them(installation: dict[str, str]) -> None:
    with dg.DagsterInstance.get() as instance:
        run_id = build_defs().get_job_def("replay_dead_letters").execute_in_process(instance=instance).run_id
    with dg.DagsterInstance.get() as another:
        run = another.get_run_by_id(run_id)
        events = [entry.dagster_event for entry in another.all_logs(run_id) if entry.dagster_event]
    assert run is not None
    assert run.status is dg.DagsterRunStatus.SUCCESS
    expected = {dg.DagsterEventType.RUN_START, dg.DagsterEventType.STEP_OUTPUT, dg.DagsterEventType.RUN_SUCCESS}
    assert expected <= {event.event_type for event in events}
