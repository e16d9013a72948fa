"""Fixtures of all rings: the embedded MongoDB server, fresh databases in it, and casebridge among simulated systems.

A fixture imports what it needs itself. The unit ring uses none of these servers and must not wait for their imports.
"""

import gc
import os
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from pydantic import SecretStr

    from casebridge.database import Database
    from casebridge.settings import MongoDBSettings, Settings
    from local_servers.child_process import Children
    from simulators.process import RunningSimulators
    from tests.support.kafka_broker import Broker, Brokers
    from tests.support.processes import Processes
    from tests.support.world import World

RINGS = ("unit", "contract", "property", "integration", "crash", "end_to_end")
SERVER = "server"
MOST_WORKERS = 4
"""Each worker has a database server and other servers of its own: some 700 MB."""
FEW_PROCESSORS = 2
servers_used: defaultdict[str, set[str]] = defaultdict(set)
outcomes: Counter[tuple[str, str]] = Counter()

# No deadlines: an example is slow where the machine is busy. The time limit of pytest ends a test that hangs.
hypothesis.settings.register_profile(
    "casebridge", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("casebridge")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are processors: a test waits for processes of its own for about a third of its time.

    Tests of the unit ring wait for nothing. Each worker collects all of them for itself, and that takes half as long as running
    them. So with two processors one process is quicker than three workers.
    """
    processors = os.cpu_count() or 1
    is_unit_ring = all("tests/unit" in argument for argument in config.args)
    if is_unit_ring:
        return 0 if processors <= FEW_PROCESSORS else min(MOST_WORKERS, processors)
    return min(MOST_WORKERS, processors + 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its ring: the first folder below `tests`."""
    for item in items:
        ring = next((name for name in RINGS if f"tests/{name}/" in item.path.as_posix()), None)
        if ring:
            item.add_marker(getattr(pytest.mark, ring))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect what the summary shows. Reports also come from tests that ran in another process."""
    ring = next((name for name in RINGS if f"tests/{name}/" in report.nodeid.replace("\\", "/")), None)
    if ring:
        servers_used[ring] |= {str(name) for kind, name in report.user_properties if kind == SERVER}
    if ring and (report.when == "call" or (report.when == "setup" and report.outcome != "passed")):
        outcomes[ring, report.outcome] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write for each ring its results and its servers. A ring that could not run is shown, too."""
    terminalreporter.section("rings and their servers")
    for ring in RINGS:
        counts = {
            outcome: outcomes[ring, outcome] for outcome in ("passed", "failed", "skipped") if outcomes[ring, outcome]
        }
        result = ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "did not run"
        servers = ", ".join(sorted(servers_used[ring])) or "none"
        terminalreporter.write_line(f"{ring:12} {result:40} servers: {servers}")


@pytest.fixture
def uses_server(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Records for the summary that this test's ring ran against a server."""
    return lambda name: request.node.user_properties.append((SERVER, name))


@pytest.fixture(scope="session")
def children() -> Iterator["Children"]:
    from local_servers.child_process import Children

    with Children("casebridge-tests") as running:
        yield running


@pytest.fixture(scope="session")
def mongodb_uri(children: "Children") -> "SecretStr":
    """The MongoDB-protocol server of this run: `CASEBRIDGE_MONGODB_URI` if set, else the embedded one.

    It is a secret because pytest prints the arguments of a failed function.
    """
    from pydantic import SecretStr

    from local_servers.mongodb import EmbeddedMongoDB

    return SecretStr(os.environ.get("CASEBRIDGE_MONGODB_URI") or EmbeddedMongoDB(children).uri)


@dataclass
class CleanUp:
    """Drops the databases of tests. It has one connection for all tests: opening one costs more than dropping."""

    database: "Database"
    server: str

    def drop(self, settings: "MongoDBSettings") -> None:
        client = self.database.messages.database.client
        for name in (settings.config_database, settings.oai_database):
            client.drop_database(name)


@pytest.fixture(scope="session")
def clean_up(mongodb_uri: "SecretStr") -> Iterator[CleanUp]:
    """For the server of `mongodb_uri`. Pytest makes a new one when that changes."""
    from casebridge.database import Database
    from casebridge.settings import MongoDBSettings

    database = Database(MongoDBSettings(uri=mongodb_uri))
    yield CleanUp(database, database.server_name())
    database.close()


@pytest.fixture
def mongodb_settings(
    mongodb_uri: "SecretStr", clean_up: CleanUp, uses_server: Callable[[str], None]
) -> Iterator["MongoDBSettings"]:
    """Two fresh databases for this test, dropped afterwards."""
    from casebridge.settings import MongoDBSettings

    name = f"test_{uuid.uuid4().hex[:12]}"
    settings = MongoDBSettings(uri=mongodb_uri, config_database=f"{name}_config", oai_database=f"{name}_oai")
    yield settings
    uses_server(clean_up.server)
    clean_up.drop(settings)


@pytest.fixture
def database(mongodb_settings: "MongoDBSettings") -> Iterator["Database"]:
    from casebridge.database import Database
    from tests.support.indexes import ensure_all_indexes

    opened = Database(mongodb_settings)
    ensure_all_indexes(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def simulators() -> Iterator["RunningSimulators"]:
    """The simulators of FS, WISEflow, LaaS and Slack, in one process for the whole run.

    Each test makes its own population in them.
    """
    from simulators.process import running

    with running() as started:
        yield started


@pytest.fixture
def settings_for(mongodb_settings: "MongoDBSettings", simulators: "RunningSimulators") -> Callable[..., "Settings"]:
    """Makes settings for this test's databases and the simulators, with short waits. Keyword arguments change sections."""
    from tests.support.world import settings_for_tests

    return lambda **sections: settings_for_tests(mongodb_settings, simulators.addresses, **sections)


@pytest.fixture
def world(
    database: "Database",
    settings_for: Callable[..., "Settings"],
    simulators: "RunningSimulators",
    uses_server: Callable[[str], None],
) -> Iterator["World"]:
    """Casebridge among the simulated systems. Call `world.populate(...)` first."""
    from tests.support.world import World

    uses_server("simulators")
    with World(database, settings_for, simulators) as prepared:
        yield prepared


@pytest.fixture
def processes(children: "Children", world: "World") -> Iterator["Processes"]:
    """Starts casebridge's commands as processes of their own in this test's world. Listeners end with the test."""
    from tests.support.processes import Processes

    started = Processes(children, world)
    yield started
    started.stop()


@pytest.fixture(scope="session")
def brokers(children: "Children") -> "Brokers":
    """The Kafka brokers of this run. Each is started at its first use."""
    from tests.support.kafka_broker import Brokers

    return Brokers(children)


@pytest.fixture
def broker(request: pytest.FixtureRequest, brokers: "Brokers", uses_server: Callable[[str], None]) -> "Broker":
    """A broker that tests share: the embedded one, or the one that the test is parametrised with."""
    from tests.support.kafka_broker import BROKERS

    found = brokers.shared(getattr(request, "param", BROKERS[0]))
    uses_server(found.summary)
    return found


@pytest.fixture
def own_broker(
    request: pytest.FixtureRequest, brokers: "Brokers", uses_server: Callable[[str], None]
) -> Iterator["Broker"]:
    """A broker that this test may kill."""
    from tests.support.kafka_broker import BROKERS

    found = brokers.start(getattr(request, "param", BROKERS[0]))
    uses_server(f"{found.summary} killed")
    yield found
    found.child.kill()
    gc.collect()  # kafka-python leaves sockets open; they must be collected while this test ignores their warnings
