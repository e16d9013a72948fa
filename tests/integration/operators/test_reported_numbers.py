"""The latest metadata of every asset has the state as numbers that Dagster can plot, whatever reports it.

The assets, sensors and jobs are taken from the definitions, so a new one is tested, too.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest
import requests

from casebridge.messaging.listener.outcome_counts import OutcomeCounts
from command_line import report as listeners_report
from command_line.report import DagsterReport
from local_servers.child_process import Children, free_port
from orchestration.build import build_defs
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.integration.conftest import DYNAMIC_PARTITIONS, Operator
from tests.support.world import World

REQUESTS = 6
READY_SECONDS = 90.0
FIRST = {
    "total_requested",
    "total_dispatched",
    "total_registered",
    "total_set_aside",
    "today_dispatched",
    "today_registered",
    "today_failed_steps",
    "pending",
    "oldest_pending_seconds",
}
"""The required names: totals, today's numbers and the oldest pending."""
NUMBERS = (dg.IntMetadataValue, dg.FloatMetadataValue)
Reported = list[tuple[str, str, Mapping[str, dg.MetadataValue]]]


def own_assets() -> list[dg.AssetKey]:
    graph = build_defs().resolve_asset_graph()
    return sorted(graph.materializable_asset_keys)


@pytest.fixture
def ui(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    """Two institutions with requests, and a Dagster whose storage a web server can open, too."""
    world.populate(institutions=2, requests=REQUESTS)
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield Operator(build_defs(), instance)


@pytest.fixture
def web_server(ui: Operator, tmp_path: Path) -> Iterator[str]:
    """Dagster's web server on the same storage. It needs no code to receive a report."""
    with Children("casebridge-web-server") as children:
        port = free_port()
        server = children.start(
            "dagster-webserver",
            [
                str(Path(sys.executable).with_name("dagster-webserver")),
                *("-h", "127.0.0.1", "-p", str(port), "--log-level", "warning", "--empty-workspace"),
            ],
            {**os.environ, "DAGSTER_HOME": str(tmp_path)},
        )
        address = f"http://127.0.0.1:{port}"
        server.wait_until(lambda: _answers(f"{address}/server_info"), READY_SECONDS)
        yield address


def _answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5.0).ok
    except requests.RequestException:
        return False


def reported(instance: dg.DagsterInstance) -> Reported:
    """All that was reported to Dagster about any asset: asset, kind of event, metadata."""
    found: Reported = []
    for key in instance.all_asset_keys():
        for record in instance.fetch_materializations(key, limit=1000).records:
            assert record.asset_materialization is not None
            found.append((key.to_user_string(), "materialisation", record.asset_materialization.metadata))
        for record in instance.fetch_observations(key, limit=1000).records:
            assert record.asset_observation is not None
            found.append((key.to_user_string(), "observation", record.asset_observation.metadata))
    return found


def assert_has_the_state(world: World, found_reports: Reported) -> None:
    process = world.process()
    names = set(process.operators.totals.of(process.operators.status.read()))
    assert names >= FIRST
    for asset, kind, metadata in found_reports:
        missing = {name for name in names if not isinstance(metadata.get(name), NUMBERS)}
        assert not missing, f"a {kind} of {asset} lacks numbers"


@pytest.mark.parametrize("asset", own_assets(), ids=lambda key: key.to_user_string())
def test_each_asset_that_a_run_materialises(asset: dg.AssetKey, world: World, ui: Operator) -> None:
    institution = world.process().stores.institutions.active()[0].key
    ui.instance.add_dynamic_partitions(DYNAMIC_PARTITIONS, [institution])
    is_partitioned = ui.defs.resolve_asset_graph().get(asset).is_partitioned

    result = ui.defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=ui.instance,
        asset_selection=[asset],
        partition_key=dg.MultiPartitionKey({"institution": institution, "month": "2026-10"})
        if is_partitioned
        else None,
    )

    assert result.success
    found_reports = reported(ui.instance)
    assert [name for name, _, _ in found_reports] == [asset.to_user_string()]
    assert_has_the_state(world, found_reports)


def test_whatever_sensors_and_batches_report(world: World, ui: Operator) -> None:
    """Each sensor ticks while there is something to report, and its batch runs."""
    found_reports: Reported = []
    for _ in range(2):
        for sensor in ui.defs.sensors or ():
            tick = ui.tick(sensor.name)
            found_reports += [
                (event.asset_key.to_user_string(), "report of a sensor", event.metadata) for event in tick.asset_events
            ]
            if tick.run_requests:
                assert ui.run(ui.defs.resolve_sensor_def(sensor.name).job_name).success
            world.control.wait("answered", world.control.summary()["dispatched"])

    assert {asset for asset, _, _ in found_reports} == {"explanation_requests", "explanation_answers"}
    batches = reported(ui.instance)
    assert {asset for asset, _, _ in batches} == {"dispatched_requests", "registered_explanations"}
    assert_has_the_state(world, [*found_reports, *batches])


def test_whatever_a_listener_reports(world: World, ui: Operator, web_server: str) -> None:
    world.configure(dagster={"url": web_server, "report_seconds": 0.0})
    process = world.process()
    assets = handle_with_a_listener(world, process, lambda report: report.send())

    assert {asset for asset, _, _ in reported(ui.instance)} == assets
    assert_has_the_state(world, reported(ui.instance))


def test_the_last_report_of_a_round_has_the_state_and_not_the_last_batch(
    world: World, ui: Operator, web_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cases are counted rarely. So the newest report of an asset may have totals from before its batch, but not for long."""
    world.configure(dagster={"url": web_server, "report_seconds": 0.0})
    process = world.process()
    reports: list[DagsterReport] = []

    def send(report: DagsterReport) -> None:
        reports[:] = [report]
        report.send()

    handle_with_a_listener(world, process, send)
    registered = dg.AssetKey("registered_explanations")
    assert latest(ui, registered)["processed"].value == REQUESTS
    assert latest(ui, registered)["total_registered"].value == 0, "counted before this batch"

    reports[0].send()
    assert latest(ui, registered)["total_registered"].value == 0, "it is not counted again so soon"
    monkeypatch.setattr(listeners_report, "COUNTED_SECONDS", 0.0)
    reports[0].send()

    now = latest(ui, registered)
    assert (now["total_registered"].value, now["today_registered"].value) == (REQUESTS, REQUESTS)
    assert (now["pending"].value, now["oldest_pending_seconds"].value) == (0, 0.0)
    before = len(reported(ui.instance))
    reports[0].send()
    assert len(reported(ui.instance)) == before, "there is nothing more to tell"


def test_a_listener_that_stops_counts_once_more(world: World, ui: Operator, web_server: str) -> None:
    world.configure(dagster={"url": web_server, "report_seconds": 0.0})
    handle_with_a_listener(world, world.process(), lambda report: report.send(is_last=True))

    now = latest(ui, dg.AssetKey("registered_explanations"))
    assert now["total_registered"].value == now["today_registered"].value == REQUESTS


def handle_with_a_listener(world: World, process: Process, send: Callable[[DagsterReport], None]) -> set[str]:
    """Requests, then answers, are handled and reported. Returns the assets of the queues."""
    outcome_counts = OutcomeCounts()
    report = DagsterReport(process, outcome_counts)
    sources = process.capability(Explanations).sources
    for source in sources:
        process.synchronisation.poll(source, process.stores.institutions.active())
        listener = process.listener()
        listener.outcome_counts = outcome_counts  # one report for both queues
        listener.run(threading.Event(), until_idle=True)
        send(report)
        world.control.wait("answered", world.control.summary()["dispatched"])
    return {str(process.queues[source.queues[-1]].reported_as) for source in sources}


def latest(ui: Operator, asset: dg.AssetKey) -> Mapping[str, dg.MetadataValue]:
    """The newest metadata that the asset's page shows."""
    (record,) = ui.instance.fetch_observations(asset, limit=1).records
    assert record.asset_observation is not None
    return record.asset_observation.metadata
