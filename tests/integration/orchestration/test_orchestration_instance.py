"""`dagster.yaml` as Dagster reads it, and the storage that the environment selects."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

from orchestration import storage
from orchestration.job_tags import ONE_AT_A_TIME

ROOT = Path(__file__).parents[3]


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    monkeypatch.setenv(storage.DAGSTER_HOME, str(tmp_path))
    monkeypatch.delenv(storage.POSTGRES_URL, raising=False)
    with dg.DagsterInstance.get() as opened:
        yield opened


def test_without_postgres_everything_is_kept_below_dagster_home(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    instance.add_dynamic_partitions("institution", ["uis.no/prod"])

    assert isinstance(instance.event_log_storage, SqliteEventLogStorage)
    assert list(tmp_path.rglob("runs.db"))
    with dg.DagsterInstance.from_ref(instance.get_ref()) as in_a_run:
        assert in_a_run.get_dynamic_partitions("institution") == ["uis.no/prod"]


def test_without_dagster_home_a_developer_keeps_it_in_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(storage.DAGSTER_HOME, raising=False)
    monkeypatch.delenv(storage.POSTGRES_URL, raising=False)
    monkeypatch.chdir(tmp_path)

    made = storage.StorageFromEnvironment.from_config_value(None, {})

    assert isinstance(made, DagsterSqliteStorage)
    assert Path(made.base_dir) == tmp_path / storage.DEVELOPERS_HOME
    assert str(storage.DEVELOPERS_HOME.parts[0]) in (ROOT / ".gitignore").read_text().replace("/", "").split()


def test_runs_are_retried_for_crashes_only_and_never_run_for_ever(instance: dg.DagsterInstance) -> None:
    assert instance.run_retries_enabled
    assert instance.run_retries_max_retries == 2
    assert not instance.run_retries_retry_on_asset_or_op_failure
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_settings["max_runtime_seconds"] == 7200
    assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] == 60


def test_one_reconciliation_at_a_time_and_a_pool_per_outside_system(instance: dg.DagsterInstance) -> None:
    concurrency = instance.get_concurrency_config()

    assert concurrency.pool_config.default_pool_limit == 4
    assert concurrency.pool_config.pool_granularity is not None
    assert concurrency.pool_config.pool_granularity.value == "run"
    assert concurrency.run_queue_config is not None
    assert concurrency.run_queue_config.max_concurrent_runs == 6
    assert concurrency.run_queue_config.tag_concurrency_limits == [
        {"key": ONE_AT_A_TIME, "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
    ]
    assert concurrency.run_queue_config.max_user_code_failure_retries == 10


def test_no_telemetry_is_sent_and_no_output_of_steps_is_captured(instance: dg.DagsterInstance) -> None:
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled
    assert isinstance(instance.compute_log_manager, NoOpComputeLogManager)
    assert set(instance.managed_python_loggers) == {"casebridge", "resources"}


def test_a_slow_sensor_does_not_block_the_others(instance: dg.DagsterInstance) -> None:
    assert instance.get_settings("sensors")["use_threads"]
    assert instance.get_settings("retention")["sensor"]["purge_after_days"]["success"] == 14
