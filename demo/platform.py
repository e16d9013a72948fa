"""The whole platform on one machine: MongoDB server, simulators, Dagster and a listener, on free loopback ports.

The demo and the end-to-end tests use it. All files are in one temporary folder. Everything ends with the context.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from casebridge.settings import MongoDBSettings, Settings
from demo.institutions import configuration, secrets
from local_servers.child_process import Child, Children
from local_servers.dagster import DagsterServers
from local_servers.mongodb import EmbeddedMongoDB
from resources.wiring.process import Process
from simulators.process import ControlClient, RunningSimulators, running

ROOT: Final = Path(__file__).parents[1]
LOCATION: Final = "casebridge"


@dataclass(frozen=True)
class Size:
    """How large the demo's population is."""

    institutions: int = 12
    courses: int = 60
    requests: int = 600
    days: int = 5
    seed: int = 1


@dataclass(frozen=True)
class Platform:
    """The running platform: addresses, processes, and what the simulators expect."""

    ui: str
    dagster: DagsterServers
    control: ControlClient
    expected: dict[str, Any]
    environment: dict[str, str]
    processes: dict[str, int]
    """Process ids by name. Child processes belong to their ancestor."""
    servers: dict[str, str]
    listener: Child
    folder: Path


@contextmanager
def running_platform(size: Size) -> Iterator[Platform]:
    """Start everything, with the slow parts in parallel. The requests appear in FS only when they are released."""
    with Children("casebridge-demo") as children, running(seed=size.seed) as simulators:
        mongodb = EmbeddedMongoDB(children)
        population = simulators.control.population(
            institutions=size.institutions,
            courses=size.courses,
            requests=size.requests,
            days=size.days,
            seed=size.seed,
            oddities=True,
            hold=True,
        )
        settings = MongoDBSettings(uri=mongodb.uri)
        environment = _environment(mongodb, simulators, population)
        with ThreadPoolExecutor(2) as pool:
            server = pool.submit(_install, settings, population, simulators.addresses)
            dagster = DagsterServers(
                children, ROOT / "dagster.yaml", "orchestration.definitions", LOCATION, environment
            )
            mongodb_version = server.result()
        environment |= {"CASEBRIDGE_DAGSTER__URL": dagster.ui, "DAGSTER_HOME": dagster.environment["DAGSTER_HOME"]}
        listener = children.start(
            "listener", [str(Path(sys.executable).with_name("casebridge")), "listen"], environment
        )
        dagster.wait_until_ready()
        _leave_environment_file(children.folder, environment)
        yield Platform(
            ui=dagster.ui,
            dagster=dagster,
            control=simulators.control,
            expected=population["expected"],
            environment=environment,
            processes={
                "mongodb": mongodb.child.pid,
                "simulators": simulators.pid,
                **{child.name: child.pid for child in (*dagster.processes, listener)},
            },
            servers={
                "mongodb": mongodb_version,
                "dagster": version("dagster"),
                "python": ".".join(map(str, sys.version_info[:3])),
                "simulators": "WISEflow 1.34.0, FS-Digex, LaaS, Slack",
            },
            listener=listener,
            folder=children.folder,
        )


@contextmanager
def reading_process(platform: Platform) -> Iterator[Process]:
    """A process that only reads the database. The demo itself handles no messages."""
    process = Process(Settings(mongodb=MongoDBSettings(uri=platform.environment["CASEBRIDGE_MONGODB__URI"])))
    try:
        yield process
    finally:
        process.close()


def _environment(mongodb: EmbeddedMongoDB, simulators: RunningSimulators, population: dict[str, Any]) -> dict[str, str]:
    """The environment variables of the installation's processes. Waits are short, because the simulators answer fast."""
    return {
        "CASEBRIDGE_MONGODB__URI": mongodb.uri,
        "CASEBRIDGE_SLACK__TOKEN": "xoxb-simulated",
        "CASEBRIDGE_SLACK__API_URL": simulators.addresses["slack_api"],
        "CASEBRIDGE_SLACK__WEBHOOK_URL": simulators.addresses["slack_webhook"],
        "CASEBRIDGE_SLACK__SECONDS_BETWEEN": "0.2",
        "CASEBRIDGE_LAAS__URL": simulators.addresses["laas"],
        "CASEBRIDGE_QUEUE__RETRY_BASE_SECONDS": "1",
        "CASEBRIDGE_QUEUE__LEASE_SECONDS": "15",
        "CASEBRIDGE_FS__OVERLAP_SECONDS": "15",
        "CASEBRIDGE_HTTP__TOTAL_SECONDS": "10",
        "CASEBRIDGE_DAGSTER__REPORT_SECONDS": "5",
        "CASEBRIDGE_SENSOR_SECONDS": "2",
        "CASEBRIDGE_LOG_LEVEL": "WARNING",
        **secrets(population),
    }


def _install(settings: MongoDBSettings, population: dict[str, Any], addresses: dict[str, str]) -> str:
    """Create the indexes and store the configuration, as an operator would. Return the server's name and version."""
    process = Process(Settings(mongodb=settings))
    database = process.stores.database
    try:
        process.ensure_indexes()
        orgs, environments = configuration(population, addresses)
        database.orgs.insert_many(orgs)
        database.environments.insert_many(environments)
        return database.server_name()
    finally:
        process.close()


def _leave_environment_file(folder: Path, environment: dict[str, str]) -> None:
    """Write a file for a second terminal: `. FILE && casebridge status`. It has only simulated secrets."""
    lines = [f"export {name}='{value}'" for name, value in sorted(environment.items())]
    path = folder / "environment"
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")
