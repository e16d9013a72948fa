"""All definitions together: they load without a warning, and what operators see does not change unnoticed."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from orchestration.build import build_defs
from orchestration.job_tags import MAX_RUNTIME, ONE_AT_A_TIME, PRIORITY

ROOT = Path(__file__).parents[3]
CASE_ASSETS = {
    "explanation_requests",
    "dispatched_requests",
    "explanation_answers",
    "registered_explanations",
    "audit_log",
}
OUTSIDE = {"fs_requests", "fs_explanations", "wiseflow_explanations", "slack_alerts", "laas_outcomes"} | {
    "kafka_records",
    "kafka_answers",
}

LOAD_WITH_WARNINGS_AS_ERRORS = """
import warnings
import dagster as dg
# Import-time warnings count, too: hence a fresh interpreter. The one allowed exception (a preview) is answered where it is
# used, in assets/partitioned_check.py.
for category in (dg.BetaWarning, dg.PreviewWarning, dg.SupersessionWarning, DeprecationWarning):
    warnings.simplefilter("error", category)
from orchestration.definitions import casebridge
definitions = casebridge()
dg.Definitions.validate_loadable(definitions)
print("loaded")
"""


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_defs()


@pytest.fixture(scope="module")
def specs(defs: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_the_definitions_load_without_beta_preview_or_deprecated_features() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD_WITH_WARNINGS_AS_ERRORS],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )

    assert loaded.stdout.strip() == "loaded", loaded.stderr[-3000:]


def test_importing_and_building_needs_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting must fail a run with the setting's name. It must not stop the whole code location."""
    monkeypatch.setenv("CASEBRIDGE_QUEUE__WORKERS", "none")

    dg.Definitions.validate_loadable(build_defs())


def test_the_assets_are_these(specs: dict[str, dg.AssetSpec]) -> None:
    assert set(specs) == CASE_ASSETS | OUTSIDE | {"request_ledger", "kafka_inbox"}


def test_every_asset_is_grouped_owned_described_tagged_and_has_a_kind(specs: dict[str, dg.AssetSpec]) -> None:
    for name, spec in specs.items():
        assert spec.group_name == "begrunnelse", name
        assert list(spec.owners) == ["team:casebridge"], name
        assert spec.description, name
        assert spec.kinds, name
        assert "casebridge/side" in spec.tags, name


def test_the_lineage_follows_a_case_from_fs_to_fs(specs: dict[str, dg.AssetSpec]) -> None:
    lineage = {name: {dep.asset_key.to_user_string() for dep in spec.deps} for name, spec in specs.items()}

    assert lineage == {
        "fs_requests": set(),
        "explanation_requests": {"fs_requests"},
        "dispatched_requests": {"explanation_requests"},
        "wiseflow_explanations": {"dispatched_requests"},
        "explanation_answers": {"wiseflow_explanations", "dispatched_requests"},
        "registered_explanations": {"explanation_answers"},
        "fs_explanations": {"registered_explanations"},
        "slack_alerts": {"dispatched_requests", "registered_explanations"},
        "laas_outcomes": {"dispatched_requests", "registered_explanations"},
        "audit_log": CASE_ASSETS - {"audit_log"},
        "request_ledger": {"fs_requests"},
        "kafka_records": set(),
        "kafka_inbox": {"kafka_records"},
        "kafka_answers": {"registered_explanations"},
    }


def test_every_asset_of_a_case_shows_when_nothing_reconciles_it(specs: dict[str, dg.AssetSpec]) -> None:
    assert {name for name, spec in specs.items() if spec.freshness_policy} == CASE_ASSETS


def test_the_checks_are_these(defs: dg.Definitions) -> None:
    checks = defs.resolve_asset_graph().asset_check_keys

    assert {f"{key.asset_key.to_user_string()}:{key.name}" for key in checks} == {
        "registered_explanations:nothing_lost",
        "registered_explanations:oldest_pending",
        "registered_explanations:dead_letters",
        "registered_explanations:deadline_overdue",
        "request_ledger:ledger_balances",
        "kafka_inbox:kafka_lag",
    }


def test_each_job_has_a_time_limit_and_a_higher_priority_than_backfills(defs: dg.Definitions) -> None:
    tags = {
        name: defs.resolve_job_def(name).tags
        for name in (
            "sync_now",
            "reconcile",
            "process_queue",
            "list_dead_letters",
            "show_dead_letter",
            "replay_dead_letters",
            "discard_dead_letters",
            "clean_up",
        )
    }

    assert all(int(found[MAX_RUNTIME]) <= 3600 and int(found[PRIORITY]) > 0 for found in tags.values())
    assert {name: found[ONE_AT_A_TIME] for name, found in tags.items() if ONE_AT_A_TIME in found} == {
        "reconcile": "reconcile",
        "process_queue": "process_queue",
        "clean_up": "clean_up",
    }


def test_the_checks_are_run_by_the_reconciliation(defs: dg.Definitions) -> None:
    assert len(defs.resolve_job_def("reconcile").asset_layer.asset_graph.asset_check_keys) == 5
    assert not defs.resolve_job_def("sync_now").asset_layer.asset_graph.asset_check_keys


def test_the_reconciliation_runs_every_second_hour_in_oslo(defs: dg.Definitions) -> None:
    schedule = defs.resolve_schedule_def("reconcile_every_two_hours")

    assert schedule.cron_schedule == "0 */2 * * *"
    assert schedule.execution_timezone == "Europe/Oslo"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.job_name == "reconcile"


def test_the_clean_up_runs_every_night_and_for_real(defs: dg.Definitions) -> None:
    schedule = defs.resolve_schedule_def("clean_up_every_night")

    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 3 * * *", "Europe/Oslo")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    with dg.build_schedule_context() as context:
        (request,) = schedule.evaluate_tick(context).run_requests or ()
    assert request.run_config == {"dry_run": False}


def test_the_names_on_which_cursors_depend_do_not_change(defs: dg.Definitions) -> None:
    """Dagster keeps a cursor under the names of location and sensor. Renaming one of them loses it."""
    sensors = defs.get_repository_def().sensor_defs

    assert {sensor.name for sensor in sensors} == {
        "fs_requests_sensor",
        "wiseflow_answers_sensor",
        "backlog_sensor",
        "run_failure_alerts",
    }
    assert {sensor.default_status for sensor in sensors} == {dg.DefaultSensorStatus.RUNNING}
    assert _location_of_the_workspace() == _location_of_dg() == ("casebridge", "orchestration.definitions")


def _location_of_the_workspace() -> tuple[str, str]:
    workspace: dict[str, Any] = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    (location,) = workspace["load_from"]
    return location["python_module"]["location_name"], location["python_module"]["module_name"]


def _location_of_dg() -> tuple[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    return project["code_location_name"], project["code_location_target_module"]
