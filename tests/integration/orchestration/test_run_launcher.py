"""Where Dagster's runs are executed. The environment alone selects it."""

import importlib
import shutil
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.launcher import DefaultRunLauncher
from dagster_celery.launcher import CeleryRunLauncher

from orchestration import celery_runs
from orchestration.run_launcher import RUN_LAUNCHER, LauncherFromEnvironment

ROOT = Path(__file__).parents[3]
BROKER = "redis://127.0.0.1:6379/0"
BACKEND = "redis://127.0.0.1:6379/1"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("CASEBRIDGE_POSTGRES_URL", raising=False)
    monkeypatch.delenv(RUN_LAUNCHER, raising=False)
    return tmp_path


@pytest.fixture
def celery(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_LAUNCHER, "celery")
    monkeypatch.setenv(celery_runs.BROKER, BROKER)
    monkeypatch.setenv(celery_runs.BACKEND, BACKEND)


def test_by_default_a_run_is_a_process_of_the_code_server(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.run_launcher, DefaultRunLauncher)


def test_one_variable_makes_it_a_celery_task(celery: None) -> None:
    with dg.DagsterInstance.get() as instance:
        launcher = instance.run_launcher
        assert isinstance(launcher, CeleryRunLauncher)
        assert (launcher.celery.conf.broker_url, launcher.celery.conf.result_backend) == (BROKER, BACKEND)


def test_no_task_is_given_to_a_second_worker_while_its_run_may_last(celery: None) -> None:
    with dg.DagsterInstance.get() as instance:
        longest = instance.run_monitoring_settings["max_runtime_seconds"]
        launcher = instance.run_launcher
        assert isinstance(launcher, CeleryRunLauncher)
        assert launcher.celery.conf.broker_transport_options["visibility_timeout"] > longest


def test_the_worker_knows_the_tasks_that_the_launcher_sends(celery: None) -> None:
    assert {"execute_job", "resume_job"} <= set(celery_runs.app.tasks)


@pytest.mark.parametrize("missing", [celery_runs.BROKER, celery_runs.BACKEND])
def test_celery_without_an_address_names_the_variable(
    celery: None, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(missing)
    with pytest.raises(ValueError, match=missing):
        celery_runs.celery_run_launcher()


def test_anything_else_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_LAUNCHER, "nomad")
    with pytest.raises(ValueError, match=RUN_LAUNCHER):
        LauncherFromEnvironment.from_config_value(None, {})


def test_the_launcher_that_the_chart_names_exists() -> None:
    values = yaml.safe_load((ROOT / "deploy" / "values-celery.yaml").read_text())
    named = values["runLauncher"]["config"]["customRunLauncher"]
    assert getattr(importlib.import_module(named["module"]), named["class"]) is LauncherFromEnvironment
