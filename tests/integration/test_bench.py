"""`make bench` still runs, at its smallest sizes. The figures themselves are no test's business."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.command import MEASUREMENTS, wanted
from bench.full_sync import calls_of
from bench.processor_time import Shares
from bench.row import Goal, Pair, row_of

ROOT = Path(__file__).parents[2]
FIELDS = {"name", "ours", "peer", "peer_name", "ratio", "goal", "met", "unit", "runs", "bound_by", "server"}
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
}
BEST = "best of all"
WITHOUT_A_PEER = "not measured"


@dataclass(frozen=True)
class Bench:
    """What a run of it wrote: the rows of its file, and what it printed."""

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
def test_each_measurement_writes_its_rows(bench: Bench, uses_server: Callable[[str], None]) -> None:
    uses_server(bench.rows[0]["server"])
    assert ROWS.keys() == MEASUREMENTS.keys()
    assert {row["name"] for row in bench.rows if BEST not in row["name"]} == set().union(*ROWS.values())


def test_each_row_tells_all_that_it_is_read_with(bench: Bench) -> None:
    for row in bench.rows:
        assert row.keys() == FIELDS
        assert row["ours"] > 0
        assert row["runs"] >= 1
        assert row["server"] in bench.table
        assert row["bound_by"]
        assert (row["peer"] is None) == row["peer_name"].startswith(WITHOUT_A_PEER)
        assert (row["met"] is None) == (row["goal"] is None or row["peer"] is None)


def test_a_ratio_is_the_median_of_the_runs_own_ratios() -> None:
    row = row_of(
        "a row", "s", [Pair(1.0, 1.0), Pair(30.0, 10.0), Pair(2.0, 1.0)], "a peer", "", "", Goal("ratio", "<=", 1.9)
    )
    assert (row.ours, row.peer, row.ratio, row.runs) == (2.0, 1.0, 2.0, 3)
    assert (row.goal, row.met) == ("ratio <= 1.9", False)


def test_a_goal_for_our_own_figure_needs_no_peer() -> None:
    assert row_of("a row", "ms", [Pair(249.0, None)], "nobody", "", "", Goal("ours", "<=", 250.0)).met is True


def test_what_binds_is_named_from_the_processor_time() -> None:
    assert str(Shares({"casebridge": 0.93, "MongoDB server": 0.3})).startswith("processor: casebridge (casebridge 93%")
    assert str(Shares({"casebridge": 0.2})).startswith("waiting (")
    assert str(Shares({"casebridge": 0.1, "other programs": 0.9})).startswith("waiting (other programs 90%")
    assert str(Shares({"casebridge": 90.0, "other programs": 90.0})).startswith("all cores (")


def test_the_bound_of_a_synchronisation_counts_the_calls_of_the_slow_systems() -> None:
    assert calls_of({"fs GET /a": 36, "wiseflow GET /comments": 1, "wiseflow POST /b": 34, "laas POST /c": 9}) == 71


def test_the_sizes_come_from_the_environment() -> None:
    asked = wanted({"ONLY": "growth", "GROWTH": "1000000", "SYNC": "10000"})
    assert asked.names == ("growth",)
    assert asked.sizes.stored == (10_000, 100_000, 1_000_000)
    assert asked.sizes.sync_requests == 10_000


@pytest.mark.parametrize("environment", [{"ONLY": "no such row"}, {"GROWTH": "many"}, {"SYNC": "0"}])
def test_what_cannot_be_measured_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(SystemExit):
        wanted(environment)
