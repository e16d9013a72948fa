"""A run as Dagster launches it: a process of its own, configured by its environment only."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from tests.support.world import World

ROOT = Path(__file__).parents[3]
RUN_SECONDS = 120.0


@pytest.fixture
def installation(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A Dagster home with our `dagster.yaml`, and a populated world."""
    world.populate(institutions=2, requests=10)
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("CASEBRIDGE_POSTGRES_URL", raising=False)
    return {**os.environ, **world.environment()}


def test_a_run_in_a_process_of_its_own_handles_every_request(world: World, installation: dict[str, str]) -> None:
    launched = subprocess.run(
        [str(Path(sys.executable).with_name("dg")), "launch", "--job", "sync_now"],
        env=installation,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )

    assert launched.returncode == 0, launched.stderr[-3000:]
    assert world.control.summary()["registered"] == 10
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs()
        materialised = instance.get_latest_materialization_event(dg.AssetKey("registered_explanations"))
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert materialised is not None
    assert materialised.asset_materialization is not None
    assert materialised.asset_materialization.metadata["processed"].value == 10
