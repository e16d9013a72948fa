"""`make bench`: reads the options, runs the measurements, prints the table and writes the file.

Options come from the environment:

- ONLY: part of a name in `MEASUREMENTS`
- GROWTH, SYNC, CASES: sizes
- QUICK: the smallest sizes, which show only that everything still runs
- OUTPUT: the file that is written, `bench.json` by default
"""

import dataclasses
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from rich.console import Console

from bench import full_sync, growth, latency, queue_throughput, recovery, telemetry, whole_cases, writes
from bench.context import BenchContext, Measurement, Sizes
from bench.installation import MongoDBServer
from bench.row import Row
from bench.table import print_table, write_json
from local_servers.child_process import Children

MEASUREMENTS: Final[dict[str, Measurement]] = {
    "queue_throughput": queue_throughput.measure,
    "whole_cases": whole_cases.measure,
    "latency": latency.measure,
    "full_sync": full_sync.measure,
    "growth": growth.measure,
    "recovery": recovery.measure,
    "telemetry": telemetry.measure,
    "writes": writes.measure,
}
notes: Final = Console(stderr=True)


@dataclass(frozen=True)
class Wanted:
    """The options of this run."""

    names: tuple[str, ...]
    sizes: Sizes
    output: Path


def wanted(environment: Mapping[str, str]) -> Wanted:
    """Read the options. Raises `SystemExit` for an unknown measurement, and for a size that is not a number of at least 1."""
    only = environment.get("ONLY", "")
    names = tuple(name for name in MEASUREMENTS if only in name)
    if not names:
        sys.exit(f"ONLY={only}: there are {', '.join(MEASUREMENTS)}")
    sizes = Sizes.quick() if environment.get("QUICK") else Sizes()
    if largest := _number(environment, "GROWTH"):
        sizes = dataclasses.replace(sizes, stored=tuple(sorted({*sizes.stored, largest})))
    if cases := _number(environment, "CASES"):
        sizes = dataclasses.replace(sizes, cases=cases, observed_cases=cases)
    if requests := _number(environment, "SYNC"):
        sizes = dataclasses.replace(sizes, sync_requests=requests)
    return Wanted(names, sizes, Path(environment.get("OUTPUT") or "bench.json"))


def _number(environment: Mapping[str, str], name: str) -> int | None:
    value = environment.get(name)
    if not value:
        return None
    if not value.isdecimal() or int(value) < 1:
        sys.exit(f"{name}={value} is not a number of at least 1")
    return int(value)


def main() -> None:
    options = wanted(os.environ)
    began = time.monotonic()
    with Children("casebridge-bench") as children:
        server = MongoDBServer(children)
        context = BenchContext(server, children, options.sizes, lambda text: _print_progress(began, text))
        rows: list[Row] = []
        for name in options.names:
            rows += MEASUREMENTS[name](context)
    write_json(rows, options.output)
    machine = f"{psutil.cpu_count()} cores, Python {platform.python_version()}"
    print_table(rows, f"casebridge on {server.name} ({machine}); {time.monotonic() - began:.0f} s")
    notes.print(f"Written: {options.output}. How to read it: docs/benchmarks.md")


def _print_progress(began: float, text: str) -> None:
    notes.print(f"{time.monotonic() - began:5.0f} s  {text}", highlight=False)
