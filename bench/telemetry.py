"""Rows: what metrics and traces cost of our processor time, in whole cases: the same cases with and without, in turns.

A scraper asks as Prometheus would. Processor time, not wall time: that is what a busy machine leaves
comparable.
"""

import contextlib
import http.server
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from bench.context import BenchContext
from bench.processor_time import Shares
from bench.row import Goal, Pair, Row, row_of
from bench.simulation import Simulation
from local_servers.child_process import free_port
from simulators import process as simulators_process

PROGRAM: Final = "bench.carrier"
PEER: Final = "the same cases without metrics and traces"
MOST_COST: Final = 1.03
SCRAPE_SECONDS: Final = 15.0


@dataclass(frozen=True)
class Carried:
    """Milliseconds of our processor time a case, and everybody's share."""

    milliseconds: float
    shares: Shares


def measure(context: BenchContext) -> Iterator[Row]:
    cases = context.sizes.cases
    with _collector() as endpoint:
        kinds: dict[str, tuple[dict[str, Any], Goal | None]] = {
            "metrics": ({"metrics_port": free_port()}, Goal("ratio", "<=", MOST_COST)),
            "traces of 1 %": ({"traces_endpoint": endpoint}, None),
            "traces of 100 %": ({"traces_endpoint": endpoint, "traces_ratio": 1.0}, None),
        }
        pairs: dict[str, list[Pair]] = {name: [] for name in kinds}
        shares: dict[str, list[Shares]] = {name: [] for name in kinds}
        for turn in range(context.sizes.rounds):
            context.say(f"metrics and traces, round {turn + 1} of {context.sizes.rounds}")
            # Off between each two, so that what slows the machine down for a while troubles both.
            for name, (settings, _) in kinds.items():
                # The other way round in the next one: whatever is only slow to begin with troubles both.
                in_turn = ({}, settings) if turn % 2 == 0 else (settings, {})
                took = [_carried(context, cases, each) for each in in_turn]
                off, on = took if turn % 2 == 0 else reversed(took)
                pairs[name].append(Pair(on.milliseconds, off.milliseconds))
                shares[name].append(on.shares)
    for name, (_, goal) in kinds.items():
        bound_by = str(Shares.median(shares[name]))
        yield row_of(f"{name}: our processor time", "ms/case", pairs[name], PEER, bound_by, context.server.name, goal)


def _carried(context: BenchContext, cases: int, telemetry: dict[str, Any]) -> Carried:
    """With these settings, or with none."""
    with simulators_process.running() as simulators, context.server.installation() as installation:
        simulation = Simulation(installation, simulators)
        simulation.populate(cases)
        if telemetry:
            installation.configure("telemetry", **telemetry)
        with _scraped(telemetry.get("metrics_port")):
            carried = installation.run(PROGRAM, cases=cases, record=False)
        simulation.check_all_registered(cases)
    return Carried(1000 * carried["processor_seconds"] / cases, Shares.from_json(carried["shares"]))


@contextmanager
def _scraped(port: int | None) -> Iterator[None]:
    """Somebody scrapes, as soon as there is something to be scraped, until the end."""
    ended = threading.Event()

    # Compressed, as Prometheus asks for it: that costs us something, too.
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept-Encoding": "gzip"})

    def scrape() -> None:
        while not ended.wait(SCRAPE_SECONDS):
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(request) as answer,  # noqa: S310
            ):
                answer.read()

    scraper = threading.Thread(target=scrape)
    if port:
        scraper.start()
    try:
        yield
    finally:
        ended.set()
        if port:
            scraper.join()


class _TakesAll(http.server.BaseHTTPRequestHandler):
    """A collector that keeps nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Nothing is worth telling."""


@contextmanager
def _collector() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _TakesAll) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/traces"
        finally:
            server.shutdown()
