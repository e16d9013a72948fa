"""`make bench` still runs, at its smallest sizes. No test checks the figures.

This is not part of `make test`, because it takes over a minute and tests nothing of casebridge. CI runs it (`.ci/run`).
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench import writes
from bench.command import MEASUREMENTS

ROOT = Path(__file__).parents[2]
FIELDS = {"name", "ours", "peer", "peer_name", "ratio", "goal", "met", "unit", "runs", "bound_by", "server", "details"}
PEERS = ("procrastinate", "celery", "rq", "huey", "dramatiq")
PERCENTILES = ("p50", "p95", "p99")
ROWS = {
    "queue_throughput": {
        f"queue: {kind}, {peer}" for kind in ("enqueue", "process", "enqueue and process") for peer in PEERS
    },
    "whole_cases": {f"whole cases: {what}" for what in ("rate", "our processor time", "MongoDB round trips")},
    "latency": {
        f"latency {state}: {percentile}"
        for state in ("idle", "at half the maximal rate", "through a Dagster run")
        for percentile in PERCENTILES
    },
    "full_sync": {f"full sync of 60 requests (SYNC=10000: whole): {what}" for what in ("time", "peak memory")},
    "growth": {"growth: time, 400 stored", "growth: processor time, 400 stored"},
    "recovery": {"recovery after SIGKILL"},
    "telemetry": {f"{what}: our processor time" for what in ("metrics", "traces of 1 %", "traces of 100 %")},
    "writes": {
        f"writes, {subject}: {what}"
        for subject in ("enqueue", "process", "whole case")
        for what in writes.KINDS.values()
    },
}
BEST = "best of all"
WITHOUT_A_PEER = "not measured"


@dataclass(frozen=True)
class Bench:
    """What a run wrote: the rows of its file, and the table that it printed."""

    rows: list[dict[str, Any]]
    table: str


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """`QUICK=1 make bench`: all rows, in one process."""
    output = tmp_path_factory.mktemp("bench") / "bench.json"
    ended = subprocess.run(
        [sys.executable, "-m", "bench"],
        cwd=ROOT,
        env={**os.environ, "QUICK": "1", "OUTPUT": str(output)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return Bench(json.loads(output.read_text()), ended.stdout)


@pytest.mark.timeout(600)
def test_each_measurement_writes_its_rows(bench: Bench) -> None:
    assert ROWS.keys() == MEASUREMENTS.keys()
    assert {row["name"] for row in bench.rows if BEST not in row["name"]} == set().union(*ROWS.values())


def test_each_row_has_all_fields(bench: Bench) -> None:
    for row in bench.rows:
        assert row.keys() == FIELDS
        assert row["ours"] > 0
        assert bool(row["details"]) == row["name"].startswith("writes")
        assert row["runs"] >= 1
        assert row["server"] in bench.table
        assert row["bound_by"]
        assert (row["peer"] is None) == row["peer_name"].startswith(WITHOUT_A_PEER)
        assert (row["met"] is None) == (row["goal"] is None or row["peer"] is None)
