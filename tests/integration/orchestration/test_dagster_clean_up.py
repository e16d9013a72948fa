"""Dagster's own storage grows no further than the settings say, and keeps everything that is needed, on SQLite and PostgreSQL."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from dagster._core.storage.runs.schema import RunsTable
from dagster_postgres import PostgresEventLogStorage

from casebridge.settings import RetentionSettings
from local_servers.postgresql import PostgreSQL
from orchestration.build import check_keys, declared_parts
from orchestration.clean_up_events import RunlessEvents
from orchestration.clean_up_runs import Needed, OldRuns, RunsRemoved
from tests.integration.conftest import Operator, failures_of
from tests.support.world import World

ROOT = Path(__file__).parents[3]
NOW = datetime.now(UTC)
OLD = NOW - timedelta(days=100)
VERY_OLD = NOW - timedelta(days=200)
ANSWERS = dg.AssetKey("explanation_answers")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """The instance from `dagster.yaml`, on either storage. All tests share it, because making it takes seconds."""
    home = tmp_path_factory.mktemp("dagster")
    shutil.copy(ROOT / "dagster.yaml", home)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_HOME", str(home))
        if request.param == "postgresql":
            server: PostgreSQL = request.getfixturevalue("postgresql_server")
            environment.setenv("CASEBRIDGE_POSTGRES_URL", server.url)
        opened = dg.DagsterInstance.get()
    with opened:
        assert isinstance(opened.event_log_storage, PostgresEventLogStorage) == (request.param == "postgresql")
        yield opened


@pytest.fixture
def instance(storage: dg.DagsterInstance, uses_server: Callable[[str], None]) -> dg.DagsterInstance:
    """The instance without any runs or events."""
    storage.wipe()
    uses_server(
        f"Dagster on {'PostgreSQL' if isinstance(storage.event_log_storage, PostgresEventLogStorage) else 'SQLite'}"
    )
    return storage


@dg.asset
def plain() -> None: ...


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["one", "two"]))
def cut() -> None: ...


@dg.asset_check(asset=plain)
def sound() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.op
def nothing() -> None: ...


@dg.job
def idle() -> None:
    nothing()


def run(
    instance: dg.DagsterInstance,
    created: datetime,
    *assets: dg.AssetsDefinition | dg.AssetChecksDefinition,
    **options: Any,
) -> str:
    """Add a run that has ended, of this age: of these assets, or of a job that does nothing."""
    done = (
        dg.materialize(list(assets), instance=instance, **options)
        if assets
        else idle.execute_in_process(instance=instance, **options)
    )
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]  # time travel has no interface
        connection.execute(
            RunsTable.update()
            .where(RunsTable.c.run_id == done.run_id)
            .values(create_timestamp=created.replace(tzinfo=None))
        )
    return done.run_id


def clean(instance: dg.DagsterInstance, *, dry_run: bool = False, **settings: Any) -> RunsRemoved:
    checks = [*check_keys(declared_parts()), *sound.check_keys]
    return OldRuns(instance, RetentionSettings(**settings), checks, NOW).remove(dry_run=dry_run)


def there(instance: dg.DagsterInstance) -> set[str]:
    return {found.run_id for found in instance.get_runs()}


def runs_with_rows(instance: dg.DagsterInstance) -> set[str]:
    """The runs in the event log: with all their events, or on SQLite with those that its index repeats."""
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]  # as above
        return {row.run_id for row in connection.execute(SqlEventLogStorageTable.select()).fetchall()}


# Runs


def test_old_runs_are_removed_with_their_events_and_younger_ones_stay(instance: dg.DagsterInstance) -> None:
    old = [run(instance, OLD) for _ in range(5)]
    young = run(instance, NOW)

    assert clean(instance, dry_run=True, batch_size=2).found == 5
    assert there(instance) == {*old, young}
    assert clean(instance, batch_size=2).removed == 5

    assert there(instance) == {young}
    assert runs_with_rows(instance) == {young}
    assert clean(instance).removed == 0


@pytest.mark.parametrize("storage", ["sqlite"], indirect=True)
def test_on_sqlite_the_file_of_a_run_is_removed_too(instance: dg.DagsterInstance) -> None:
    log = instance.event_log_storage
    assert isinstance(log, SqliteEventLogStorage)
    old, young = run(instance, OLD), run(instance, NOW)
    folder = Path(log.path_for_shard(old)).parent

    clean(instance)

    assert list(folder.glob(f"{old}.db*")) == []
    assert list(folder.glob(f"{young}.db"))


def test_a_run_that_has_not_ended_stays(instance: dg.DagsterInstance) -> None:
    run_id = run(instance, VERY_OLD)
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]  # as above
        connection.execute(RunsTable.update().values(status=dg.DagsterRunStatus.STARTED.value))

    assert clean(instance).removed == 0
    assert there(instance) == {run_id}


def test_a_run_key_counts_until_its_own_time_is_over(instance: dg.DagsterInstance) -> None:
    known = run(instance, OLD, tags={"dagster/run_key": "backlog_sensor:1"})
    forgotten = run(instance, VERY_OLD, tags={"dagster/run_key": "backlog_sensor:0"})

    outcome = clean(instance)

    assert (outcome.removed, outcome.needed) == (1, Counter({Needed.RUN_KEY: 1}))
    assert there(instance) == {known}
    assert not instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": "backlog_sensor:0"})), forgotten


def test_the_latest_materialisation_of_an_asset_stays_at_any_age(instance: dg.DagsterInstance) -> None:
    run(instance, VERY_OLD, plain)
    latest = run(instance, VERY_OLD, plain)
    before = instance.get_latest_materialization_event(plain.key)

    outcome = clean(instance)

    assert (outcome.removed, outcome.needed) == (1, Counter({Needed.HISTORY: 1}))
    assert there(instance) == {latest}
    assert instance.get_latest_materialization_event(plain.key) == before
    assert [found.run_id for found in instance.fetch_materializations(plain.key, limit=9).records] == [latest]


def test_the_latest_materialisation_of_each_partition_stays(instance: dg.DagsterInstance) -> None:
    run(instance, VERY_OLD, cut, partition_key="one")
    one = run(instance, VERY_OLD, cut, partition_key="one")
    two = run(instance, VERY_OLD, cut, partition_key="two")
    three = run(instance, VERY_OLD, cut, partition_key="two", tags={"try": "2"})

    assert clean(instance).removed == 2

    assert there(instance) == {one, three}, two
    assert instance.get_materialized_partitions(cut.key) == {"one", "two"}


def test_the_last_attempt_at_a_partition_stays_even_if_it_failed(instance: dg.DagsterInstance) -> None:
    done = run(instance, VERY_OLD, cut, partition_key="one")
    with pytest.raises(dg.Failure):
        run(instance, VERY_OLD, broken(), partition_key="one")
    (failed,) = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))

    outcome = clean(instance, dagster_run_days=2)

    assert outcome.removed == 0
    assert there(instance) == {done, failed.dagster_run.run_id}


def broken() -> dg.AssetsDefinition:
    @dg.asset(name="cut", partitions_def=dg.StaticPartitionsDefinition(["one", "two"]))
    def fails() -> None:
        raise dg.Failure("as it is meant to")

    return fails


def test_the_latest_result_of_a_check_stays(instance: dg.DagsterInstance) -> None:
    run(instance, VERY_OLD, plain, sound)
    checked = run(instance, VERY_OLD, plain, sound)
    latest = run(instance, VERY_OLD, plain)

    assert clean(instance).removed == 1

    assert there(instance) == {checked, latest}


# Events without a run


def report(instance: dg.DagsterInstance, event: dg.AssetMaterialization | dg.AssetObservation, at: datetime) -> None:
    """Report like a sensor or a listener, at that time."""
    instance.report_runless_asset_event(event)
    storage = instance.event_log_storage
    for connect in (storage.index_connection, lambda: storage.run_connection("")):  # type: ignore[attr-defined]  # as above
        with connect() as connection:
            newest = dg_max_id(connection)
            connection.execute(
                SqlEventLogStorageTable.update()
                .where(SqlEventLogStorageTable.c.id == newest)
                .values(timestamp=at.replace(tzinfo=None))
            )


def dg_max_id(connection: Any) -> int:
    rows = connection.execute(SqlEventLogStorageTable.select().order_by(SqlEventLogStorageTable.c.id.desc())).fetchall()
    return int(rows[0].id)


def rows_without_a_run(instance: dg.DagsterInstance) -> list[int]:
    """The rows in the index, and on SQLite also in the file that such events share."""
    storage = instance.event_log_storage
    counts = []
    for connect in (storage.index_connection, lambda: storage.run_connection("")):  # type: ignore[attr-defined]  # as above
        with connect() as connection:
            query = SqlEventLogStorageTable.select().where(SqlEventLogStorageTable.c.run_id == "")
            counts.append(len(connection.execute(query).fetchall()))
    return counts


def remove_events(instance: dg.DagsterInstance, *, dry_run: bool = False, batch_size: int = 2) -> int:
    return RunlessEvents(instance, RetentionSettings(batch_size=batch_size), NOW).remove(dry_run=dry_run)


def test_old_events_without_a_run_are_removed_but_the_latest_of_each_asset_stays(instance: dg.DagsterInstance) -> None:
    for number in range(5):
        report(instance, dg.AssetMaterialization(ANSWERS, metadata={"number": number}, tags={"kind": "poll"}), OLD)
        report(instance, dg.AssetObservation(ANSWERS, metadata={"number": number}), OLD)
    of_a_run = run(instance, OLD, plain)

    assert remove_events(instance, dry_run=True) == 8
    assert rows_without_a_run(instance)[0] == 10
    assert remove_events(instance) == 8

    assert rows_without_a_run(instance)[0] == 2
    assert rows_without_a_run(instance)[1] <= 2
    latest = instance.get_latest_materialization_event(ANSWERS)
    assert latest is not None
    assert latest.asset_materialization is not None
    assert latest.asset_materialization.metadata["number"].value == 4
    (observed,) = instance.fetch_observations(ANSWERS, limit=9).records
    assert observed.asset_observation is not None
    assert observed.asset_observation.metadata["number"].value == 4
    assert instance.all_logs(of_a_run) != []
    assert remove_events(instance) == 0


def test_younger_events_without_a_run_stay(instance: dg.DagsterInstance) -> None:
    for at in (OLD, OLD, NOW, NOW):
        report(instance, dg.AssetMaterialization(ANSWERS), at)

    assert remove_events(instance) == 2

    assert len(instance.fetch_materializations(ANSWERS, limit=9).records) == 2


def test_the_tags_of_removed_events_are_removed_too(instance: dg.DagsterInstance) -> None:
    for _ in range(3):
        report(instance, dg.AssetMaterialization(ANSWERS, tags={"kind": "poll"}), OLD)

    remove_events(instance)

    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]  # as above
        tagged = {row.event_id for row in connection.execute(AssetEventTagsTable.select()).fetchall()}
    (left,) = instance.fetch_materializations(ANSWERS, limit=9).records
    assert tagged <= {left.storage_id}


# The job


def test_the_job_cleans_up_both_and_a_dry_run_does_not(
    world: World, operator: Callable[..., Operator], instance: dg.DagsterInstance
) -> None:
    dagster = Operator(operator(institutions=1, courses=1, requests=1, variety=False).defs, instance)
    process = world.process()
    world.carry(process)
    world.database.processed_messages.update_many({}, {"$set": {"finishedAt": OLD - timedelta(days=100)}})
    old = run(instance, OLD)
    for _ in range(2):
        report(instance, dg.AssetMaterialization(ANSWERS), OLD)

    dry = dagster.run("clean_up")
    assert values_of_steps(dry, "found") == {"prune_mongodb": 2, "remove_old_runs": 1, "remove_runless_events": 1}
    assert set(values_of_steps(dry, "removed").values()) == {0}
    assert old in there(instance)
    done = dagster.run("clean_up", {"dry_run": False})

    assert values_of_steps(done, "removed") == {"prune_mongodb": 2, "remove_old_runs": 1, "remove_runless_events": 1}
    assert old not in there(instance)
    assert world.database.processed_messages.count_documents({}) == 0
    (entry,) = world.audit(step="prune_begun")
    assert entry["detail"]["askedBy"] == "Dagster: clean_up"
    assert done.run_id in there(instance)


def test_one_step_that_fails_does_not_stop_the_others(
    operator: Callable[..., Operator], instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    dagster = Operator(operator(institutions=1, courses=1, requests=0).defs, instance)
    run(instance, OLD)
    monkeypatch.setenv("CASEBRIDGE_MONGODB__URI", "mongodb://127.0.0.1:9")
    monkeypatch.setenv("CASEBRIDGE_MONGODB__SERVER_SELECTION_SECONDS", "0.2")

    done = dagster.run("clean_up", {"dry_run": False})

    assert set(failures_of(done)) == {"prune_mongodb"}
    assert values_of_steps(done, "removed") == {"remove_old_runs": 1, "remove_runless_events": 0}


def values_of_steps(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    """The value with this name in the output of each step."""
    return {
        event.step_key or "": event.step_output_data.metadata[name].value
        for event in result.all_events
        if event.event_type is dg.DagsterEventType.STEP_OUTPUT
    }
