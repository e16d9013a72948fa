"""Dagster in a test's world: the real definitions on an instance of the test's own. Also a world with cases set aside."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from casebridge.audit.log import AuditLog
from casebridge.exams.explanations.cases import Cases
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.stored_messages import StoredMessages
from casebridge.operators.dead_letters import DeadLetters
from local_servers.child_process import Children
from local_servers.postgresql import PostgreSQL, PostgreSQLNotFoundError
from orchestration.build import build_defs
from resources.wiring.process import Process
from resources.wiring.process_resource import ProcessResource
from tests.support.manual_clock import ManualClock
from tests.support.required_servers import required_in_ci
from tests.support.world import World

DYNAMIC_PARTITIONS = "institution"


@dataclass(frozen=True)
class Operator:
    """Does what an operator does in Dagster's UI: launch a job, materialise a partition, run a tick of a sensor."""

    defs: dg.Definitions
    instance: dg.DagsterInstance

    def run(self, job: str, config: Mapping[str, Any] | None = None, **options: Any) -> dg.ExecuteInProcessResult:
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, run_config=dict(config or {}), raise_on_error=False, **options
        )

    def materialise(self, institution: str, month: str) -> dg.ExecuteInProcessResult:
        """Materialise one partition of the ledger, as a backfill does."""
        self.instance.add_dynamic_partitions(DYNAMIC_PARTITIONS, [institution])
        return self.defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey("request_ledger")],
            partition_key=dg.MultiPartitionKey({"institution": institution, "month": month}),
            raise_on_error=False,
        )

    def tick(self, sensor: str, cursor: str | None = None) -> Any:
        """Run one tick; return what the daemon would carry out: cursor, run requests, asset events, partition keys."""
        with dg.build_sensor_context(
            instance=self.instance, cursor=cursor, definitions=self.defs, resources={"process": ProcessResource()}
        ) as context:
            return self.defs.resolve_sensor_def(sensor).evaluate_tick(context)


@pytest.fixture
def operator(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Operator]]:
    """`operator(institutions=2, requests=12)` populates the world and returns an operator of its Dagster."""
    with dg.DagsterInstance.ephemeral() as instance:

        def start(**order: Any) -> Operator:
            world.populate(**order)
            for name, value in world.environment().items():
                monkeypatch.setenv(name, value)
            return Operator(build_defs(), instance)

        yield start


@pytest.fixture
def mixed(world: World) -> Process:
    """Two institutions: three cases are registered. Two cases of the first one are set aside for different reasons."""
    population = world.populate(institutions=2, courses=2, requests=3, variety=False)
    org_id = population["institutions"][0]["orgId"]
    world.control.add_request(org_id, oddity="no_candidate")
    world.control.add_request(org_id, oddity="two_flows")
    process = world.process()
    world.carry(process)
    return process


@pytest.fixture(scope="module")
def postgresql_server(children: Children) -> Iterator[PostgreSQL]:
    try:
        server = PostgreSQL(children)
    except PostgreSQLNotFoundError as error:
        required_in_ci(str(error))
    yield server
    server.stop()


@pytest.fixture
def postgresql(postgresql_server: PostgreSQL, uses_server: Callable[[str], None]) -> PostgreSQL:
    uses_server(f"PostgreSQL {postgresql_server.version}")
    return postgresql_server


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """The values of an asset's metadata in a run."""
    (event,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


def failures_of(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """The error message of each failed step."""
    return {
        event.step_key or "": event.step_failure_data.error.message
        for event in result.all_events
        if event.is_step_failure and event.step_failure_data.error
    }


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


@pytest.fixture
def letters(world: World) -> DeadLetters:
    """Dead letters on a database without institutions. The test writes the documents."""
    clock = ManualClock()
    queue = MeldingQ(world.database, clock, timedelta(seconds=60))
    return DeadLetters(
        StoredMessages(world.database), queue, [Cases(world.database, clock, 14)], AuditLog(world.database), clock
    )
