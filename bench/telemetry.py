"""Rows: what metrics and traces cost of our processor time, in whole cases, on and off in turns (`bench.telemetry_turns`).

Processor time, not wall time: that is what a busy machine leaves comparable.
"""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from bench.context import BenchContext
from bench.processor_time import Shares
from bench.row import Goal, Pair, Row, row_of
from bench.simulation import Simulation
from local_servers.child_process import free_port
from simulators import process as simulators_process

PROGRAM: Final = "bench.telemetry_turns"
PEER: Final = "the same without metrics and traces, in turns"
MOST_COST: Final = 1.03
CASES_OF_A_TURN: Final = 50
WATCH_DAYS: Final = 1e-6
"""Less than a second. Otherwise each turn would poll the flows of all turns before it."""


def measure(context: BenchContext) -> Iterator[Row]:
    with _collector() as endpoint:
        kinds: dict[str, tuple[dict[str, Any], Goal | None]] = {
            "metrics": ({"metrics_port": free_port()}, Goal("ratio", "<=", MOST_COST)),
            "traces of 1 %": ({"traces_endpoint": endpoint}, None),
            "traces of 100 %": ({"traces_endpoint": endpoint, "traces_ratio": 1.0}, None),
        }
        for name, (settings, goal) in kinds.items():
            context.report_progress(name)
            pairs_of_turns = max(2, context.sizes.observed_cases // CASES_OF_A_TURN // 2)
            carried = _carried(context, settings, 2 * pairs_of_turns)
            pairs = [Pair(carried["on"], carried["off"])]
            bound_by, server = str(Shares.from_json(carried["shares"])), context.server.name
            title = f"{name}: our processor time"
            yield row_of(title, "ms/case", pairs, PEER, bound_by, server, goal, runs=pairs_of_turns)


def _carried(context: BenchContext, telemetry: dict[str, Any], turns: int) -> dict[str, Any]:
    """The requests appear turn by turn, and those of one turn before them, which is not counted."""
    cases = max(1, context.sizes.observed_cases // turns)
    requests = cases * (turns + 1)
    answers = {"watch_days": WATCH_DAYS}
    with simulators_process.running() as simulators, context.server.installation(answers=answers) as installation:
        simulation = Simulation(installation, simulators)
        simulation.populate(requests, hold=True)
        order = {"telemetry": telemetry, "turns": turns, "cases": cases, "control": simulators.addresses["control"]}
        carried: dict[str, Any] = installation.run(PROGRAM, **order)
        simulation.check_all_registered(requests)
    return carried


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
