"""Several processes on one database: listeners share the work and the vendor's rate, and a Celery worker runs Dagster's runs."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
import pytest

from local_servers.child_process import Child, Children
from local_servers.dagster import DagsterServers
from local_servers.redis import Redis, RedisNotFoundError
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.processes import Processes
from tests.support.required_servers import required_in_ci
from tests.support.waiting import wait_until
from tests.support.world import World

ROOT = Path(__file__).parents[3]
LOCATION = "casebridge"
REQUESTS = 24
RATE = 20
WORKERS = 4
RUN_SECONDS = 90.0
CARRY_SECONDS = 90.0


@dataclass(frozen=True)
class Installation:
    """Dagster's servers, and a Celery worker that runs what they launch."""

    dagster: DagsterServers
    worker: Child

    def wait_for(self, run_id: str) -> None:
        """Wait until the run has succeeded."""
        ended = {"SUCCESS", "FAILURE", "CANCELED"}
        wait_until(lambda: self.dagster.run_status(run_id) in ended, "the run ends", RUN_SECONDS)
        assert self.dagster.run_status(run_id) == "SUCCESS", self.worker.log_end(40)

    def process_of(self, run_id: str) -> int:
        """The process in which the steps of a run were executed."""
        with dg.DagsterInstance.get() as instance:
            events = [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event]
        metadata = [event.engine_event_data.metadata for event in events if event.is_engine_event]
        (pid,) = {int(str(facts["pid"].value)) for facts in metadata if "pid" in facts}
        return pid


@pytest.fixture
def redis(children: Children, uses_server: Callable[[str], None]) -> Iterator[Redis]:
    try:
        server = Redis(children)
    except RedisNotFoundError as error:
        required_in_ci(str(error))
    uses_server(f"Redis {server.version}")
    yield server
    server.child.stop()


@pytest.fixture
def installation(world: World, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """Configured like an operator does it: with environment variables only."""
    world.populate(institutions=3, courses=6, requests=REQUESTS, hold=True)
    environment = {
        **world.environment(),
        "CASEBRIDGE_RUN_LAUNCHER": "celery",
        "CASEBRIDGE_CELERY_BROKER": redis.url,
        "CASEBRIDGE_CELERY_BACKEND": redis.url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Children("casebridge-celery") as children:
        dagster = DagsterServers(children, ROOT / "dagster.yaml", "orchestration.definitions", LOCATION, environment)
        celery = str(Path(sys.executable).with_name("celery"))
        command = [celery, "--app", "orchestration.celery_runs", "worker", "--concurrency", "1", "--loglevel", "INFO"]
        worker = children.start("celery-worker", command, dagster.environment)
        worker.wait_until(lambda: "ready." in worker.log.read_text(), RUN_SECONDS)
        dagster.wait_until_ready()
        monkeypatch.setenv("DAGSTER_HOME", dagster.environment["DAGSTER_HOME"])
        yield Installation(dagster, worker)


def test_two_listeners_and_a_celery_worker_handle_every_request_once(
    world: World, processes: Processes, installation: Installation
) -> None:
    listeners = [processes.listener("--workers", "1"), processes.listener("--workers", "1")]
    world.control.faults({"system": "wiseflow", "kind": "latency", "seconds": 0.3})
    world.control.release()
    run_id = installation.dagster.launch("sync_now")
    at_work = [owner_of(world, listener) for listener in listeners]
    wait_until(
        lambda: set(at_work) <= set(world.database.messages.distinct("owner")), "both listeners have messages", 60.0
    )
    world.control.clear_faults()
    installation.wait_for(run_id)
    wait_until(lambda: world.control.summary()["registered"] == REQUESTS, "the sensors' polls find all", CARRY_SECONDS)
    wait_until(lambda: not world.database.messages.count_documents({}), "everything is written down")
    for listener in listeners:
        assert listener.stop() == 0

    assert psutil.Process(installation.process_of(run_id)).ppid() == installation.worker.pid
    check_everything(world, REQUESTS)
    assert world.control.summary()["repeated_posts"] == 0


def test_two_listeners_keep_the_vendors_rate_together(world: World, processes: Processes) -> None:
    """The vendor counts the calls. Beyond our rate there may only be calls that were under way, one for each thread."""
    on_their_way = 2 * (WORKERS + 1) + 1  # in each listener the workers and the credential probes; and this process
    # small claims, so that no listener takes everything before the other has claimed
    world.configure(wiseflow={"requests_per_second": RATE}, queue={"group_size": WORKERS})
    world.control.rates(calls_per_second=RATE + on_their_way)
    world.populate(institutions=1, courses=4, requests=REQUESTS)
    listeners = [processes.listener("--workers", str(WORKERS)) for _ in range(2)]
    process = world.process()
    read_requests(process, process.stores.institutions.active())

    wait_until(lambda: holders(world) >= 2, "both listeners have a share")

    def all_are_registered() -> bool:
        poll_answers(process, process.stores.institutions.active())
        return bool(world.control.summary()["registered"] == REQUESTS)

    wait_until(all_are_registered, "every answer is registered", CARRY_SECONDS, every=1.0)
    wait_until(lambda: not world.database.messages.count_documents({}), "everything is written down")
    for listener in listeners:
        assert listener.stop() == 0

    assert world.control.summary()["rate_limited"] == 0
    check_everything(world, REQUESTS)


def owner_of(world: World, listener: Child) -> str:
    """The owner of the messages that a listener has claimed."""
    announced = wait_until(lambda: world.database.listeners.find_one({"pid": listener.pid}), "it is announced")
    return str(announced["_id"])


def holders(world: World) -> int:
    """How many processes have a share of the credential's rate."""
    claim_set = world.database.rate_shares.find_one() or {"claims": []}
    return sum(claim["parts"] > 0 for claim in claim_set["claims"])
