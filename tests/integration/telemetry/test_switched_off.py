"""Without configuration a listener has nothing of metrics and traces: no module, no thread, no port."""

import json
import os
import subprocess
import sys
from pathlib import Path

from local_servers.child_process import free_port
from tests.support.world import World

ROOT = Path(__file__).parents[3]
LISTENER = """
import json, sys, threading
import psutil
from casebridge.messaging.listener.listener import Listener
from command_line.main import main

run = Listener.run

def asked(self, stop, **options):
    connections = psutil.Process().net_connections("tcp")
    ports = [f"{each.laddr.ip}:{each.laddr.port}" for each in connections if each.status == psutil.CONN_LISTEN]
    modules = [name for name in sys.modules if name.split(".")[0] in ("opentelemetry", "prometheus_client")]
    threads = [thread.name for thread in threading.enumerate()]
    print(json.dumps({"modules": modules, "threads": threads, "ports": ports}), flush=True)
    stop.set()
    return run(self, stop, **options)

Listener.run = asked
sys.argv = ["casebridge", "listen"]
main()
"""


def telemetry_of_a_listener(world: World) -> dict[str, list[str]]:
    """The modules, threads and ports of a listener when it begins its work. Its process is loaded for it alone."""
    ended = subprocess.run(
        [sys.executable, "-c", LISTENER],
        cwd=ROOT,
        env={**os.environ, **world.environment()},
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )
    loaded: dict[str, list[str]] = json.loads(ended.stdout.splitlines()[0])
    return loaded


def test_without_configuration_there_is_no_telemetry(world: World) -> None:
    loaded = telemetry_of_a_listener(world)
    assert loaded["modules"] == []
    assert loaded["ports"] == []
    off = set(loaded["threads"])

    with_metrics = free_port()
    world.configure(telemetry={"metrics_port": with_metrics})
    loaded = telemetry_of_a_listener(world)
    assert "opentelemetry.sdk.metrics" in loaded["modules"], "the search finds what is there to be found"
    assert not any(
        name.startswith("opentelemetry.exporter.otlp") and "trace_exporter" in name for name in loaded["modules"]
    )
    assert loaded["ports"] == [f"127.0.0.1:{with_metrics}"], "on loopback alone"
    assert len(loaded["threads"]) == len(off) + 1
