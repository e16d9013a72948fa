"""The installation under test: processes of casebridge, the database server, the simulated systems, and the proxies between.

Only casebridge uses the proxies. The soak itself reads the database and the systems directly. A further kind of process is one
line in `PROCESSES`. A further server, such as a broker, is started like MongoDB, with proxies before it.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from casebridge.database import Database
from local_servers.child_process import Child, Children
from local_servers.proxies import Proxies, Proxy
from resources.wiring.bridge import Bridge
from simulators.process import RunningSimulators, running
from tests.soak import poller, wrong_clock
from tests.soak.server import Server, server_of_this_run
from tests.soak.wrong_clock import set_wrong
from tests.support.indexes import ensure_all_indexes
from tests.support.world import World, settings_for_tests

ROOT: Final = Path(__file__).parents[2]
CASEBRIDGE: Final = str(Path(sys.executable).with_name("casebridge"))
LISTENERS: Final = 4
POLLERS: Final = 2
PROCESSES: Final = {
    **{f"listener-{number}": (CASEBRIDGE, "listen") for number in range(LISTENERS)},
    **{f"poller-{number}": (str(poller.__file__),) for number in range(POLLERS)},
}
SYSTEMS: Final = {
    "fs": ("fs",),
    "wiseflow": ("wiseflow",),
    "laas": ("laas",),
    "slack": ("slack_api", "slack_webhook"),
}
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    # The proportions of an installation, with shorter times: a call is shorter than a lease, and a fault may be longer.
    "queue": {
        "lease_seconds": 4.0,
        "workers": 4,
        "retry_base_seconds": 0.3,
        "retry_cap_seconds": 5.0,
        "not_ready_seconds": 0.3,
    },
    "http": {"connect_seconds": 1.0, "read_seconds": 2.0, "total_seconds": 3.0},
    "fs": {"overlap_seconds": 10},
    # A cause is reported once in the whole soak, so an alert that arrives twice was delivered twice.
    "slack": {"fold_minutes": 100_000.0, "seconds_between": 0.1},
}


class Process:
    """One process of casebridge, with a proxy and a clock of its own. It is started again after it was killed."""

    def __init__(self, name: str, children: Children, proxy: Proxy, environment: dict[str, str]) -> None:
        self.name = name
        self.proxy = proxy
        self._children = children
        self._environment = environment
        self._clock = children.folder / f"{name}.clock"
        set_wrong(self._clock, 0.0)
        self.start()

    def start(self) -> None:
        command = [sys.executable, str(wrong_clock.__file__), str(self._clock), *PROCESSES[self.name]]
        self.child: Child = self._children.start(self.name, command, self._environment)

    def kill(self) -> None:
        """By SIGKILL, frozen or not."""
        self.child.kill()

    def freeze(self) -> None:
        self.child.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Also after the process was killed and started again: the signal then does nothing."""
        self.child.process.send_signal(signal.SIGCONT)

    def set_clock_wrong(self, seconds: float) -> None:
        set_wrong(self._clock, seconds)

    def is_alive(self) -> bool:
        return self.child.process.poll() is None

    def stop(self) -> int:
        return self.child.stop(seconds=30.0)


@dataclass(frozen=True)
class Installation:
    """What runs. `bridge` belongs to the operator and uses the database without a proxy."""

    world: World
    bridge: Bridge
    server: Server
    processes: list[Process]
    proxies: dict[str, Proxy]
    """By the system behind them. Each process has its own proxy to the database."""
    without_numbers: frozenset[str]
    """Institutions whose list of participants has no candidate numbers."""


@contextmanager
def running_installation(seed: int, requests: int) -> Iterator[Installation]:
    """Everything is started. FS shows no request before it is released."""
    with (
        Children("casebridge-soak") as children, Proxies() as proxies, running(seed=seed) as simulators,
        server_of_this_run(children) as server,
    ):  # fmt: skip
        database = Database(server.settings)
        try:
            ensure_all_indexes(database)
            systems, proxied = _start_proxies(proxies, simulators)
            with World(database, partial(settings_for_tests, server.settings, proxied.addresses), proxied) as world:
                world.configure(**{name: dict(values) for name, values in SETTINGS.items()})
                population = world.populate(
                    institutions=max(6, min(24, requests // 40)), courses=max(12, requests // 17), requests=requests,
                    hold=True, seed=seed,
                )  # fmt: skip
                world.control.assessors(minimum_delay_s=0.2, maximum_delay_s=3.0, paused=False)
                world.control.modes(comment_format="html")
                processes = [
                    _start(name, children, proxies.lay(server.port, server.host), server, world) for name in PROCESSES
                ]
                yield Installation(world, world.bridge(), server, processes, systems, _without_numbers(population))
        finally:
            database.close()


def _without_numbers(population: dict[str, Any]) -> frozenset[str]:
    return frozenset(
        one["orgId"] for one in population["institutions"] if one["settings"]["participants_endpoint"] == "old"
    )


def _start_proxies(proxies: Proxies, simulators: RunningSimulators) -> tuple[dict[str, Proxy], RunningSimulators]:
    started: dict[str, Proxy] = {}
    addresses = dict(simulators.addresses)
    for name, ends in SYSTEMS.items():
        port = urlsplit(addresses[ends[0]]).port
        assert port is not None
        started[name] = proxies.lay(port)
        for end in ends:
            addresses[end] = addresses[end].replace(f":{port}", f":{started[name].port}")
    return started, replace(simulators, addresses=addresses)


def _start(name: str, children: Children, proxy: Proxy, server: Server, world: World) -> Process:
    environment = {
        **world.environment(),
        "CASEBRIDGE_MONGODB__URI": server.uri_by(proxy.port),
        "CASEBRIDGE_MONGODB__SOCKET_SECONDS": "3",
        "CASEBRIDGE_MONGODB__SERVER_SELECTION_SECONDS": "1",
        "CASEBRIDGE_LOG_LEVEL": "WARNING",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    return Process(name, children, proxy, environment)
