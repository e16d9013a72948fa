"""`casebridge migrate` runs in steps that can be interrupted and repeated, and never beside a process of an older release."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from casebridge.database import Database
from casebridge.exams.explanations import request_intake
from casebridge.storage.migration import AT_ONCE, Migration, Progress
from casebridge.storage.migrations import MIGRATIONS
from casebridge.storage.processes import SILENT, owner_of_version
from casebridge.storage.storage import Storage
from casebridge.storage.version import StorageError
from tests.support.manual_clock import ManualClock
from tests.support.misspelt_documents import MISSPELT, RIGHT, count, insert_misspelt
from tests.support.processes import Processes
from tests.support.world import World

NOW = ManualClock().now()
SUPPORTED = len(MIGRATIONS)
OLD_OWNER = "0f5c3c6be7d94e0e9a0b3f7f5b0c2a11"
OLD_PROCESSES: dict[str, tuple[str, dict[str, Any]]] = {
    "a listener of 5aec059": ("listeners", {"seenAt": NOW}),
    "a listener of an older version": ("listeners", {"seenAt": NOW, "storageVersion": SUPPORTED - 1}),
    "a listener of no version": ("listeners", {"seenAt": NOW, "storageVersion": "new"}),
    "a run of an older version": ("processes", {"kind": "run", "seenAt": NOW, "storageVersion": SUPPORTED - 1}),
    "a run of 5aec059": ("meldingQ", {"status": "processing", "dueAt": NOW + timedelta(seconds=59), "owner": OLD_OWNER}),
    "an owner that is no name": ("meldingQ", {"status": "processing", "dueAt": NOW + timedelta(seconds=1), "owner": {}}),
}  # fmt: skip
NO_OLD_PROCESSES: dict[str, tuple[str, dict[str, Any]]] = {
    "a listener that was killed": ("listeners", {"seenAt": NOW - SILENT - timedelta(seconds=1)}),
    "a listener of this version": ("listeners", {"seenAt": NOW, "storageVersion": SUPPORTED}),
    "a listener of the far future": ("listeners", {"seenAt": NOW + timedelta(days=900)}),
    "a run that was killed": ("processes", {"kind": "run", "seenAt": NOW - SILENT - timedelta(seconds=1)}),
    "a lease that is over": ("meldingQ", {"status": "processing", "dueAt": NOW, "owner": OLD_OWNER}),
    "a run of this version": (
        "meldingQ", {"status": "processing", "dueAt": NOW + timedelta(seconds=59), "owner": owner_of_version(SUPPORTED)}
    ),
}  # fmt: skip


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def no_progress(_migration: Migration, _progress: Progress) -> None:
    pass


def insert(database: Database, place: tuple[str, dict[str, Any]]) -> None:
    collection, fields = place
    database.cases.database[collection].insert_one({"_id": "old", **fields})


def test_documents_are_migrated_in_batches(database: Database, clock: ManualClock) -> None:
    total = insert_misspelt(database, AT_ONCE + 1)
    storage = Storage(database, clock, MIGRATIONS)
    progress_reports: list[tuple[int, Progress]] = []

    assert (
        storage.migrate(lambda migration, progress: progress_reports.append((migration.number, progress))) == MIGRATIONS
    )

    assert [(number, progress.done) for number, progress in progress_reports] == [
        (1, 0), (1, 1), (1, 1 + AT_ONCE), (1, total)
    ]  # fmt: skip
    assert {progress.total for _, progress in progress_reports} == {total}
    assert (count(database, MISSPELT), count(database, RIGHT)) == (0, total)
    assert database.storage.find_one() == {"_id": "version", "version": SUPPORTED}
    assert storage.migrate(no_progress) == (), "a second time there is nothing to do"


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_an_interrupted_migration_is_run_again(batches: int, database: Database, clock: ManualClock) -> None:
    total = insert_misspelt(database, AT_ONCE + 1)
    storage = Storage(database, clock, MIGRATIONS)

    def break_off(_migration: Migration, progress: Progress) -> None:
        if progress.done >= batches:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.migrate(break_off)

    assert database.storage.find_one() == {"_id": "version", "version": 0, "target": SUPPORTED}
    with pytest.raises(StorageError, match=f"storage version {SUPPORTED}"):
        Storage(database, clock, ()).check()  # an older release, because there may be documents in the new form
    storage.check()
    assert storage.migrate(no_progress) == MIGRATIONS
    assert count(database, RIGHT) == total
    assert database.storage.find_one() == {"_id": "version", "version": SUPPORTED}


def test_a_capability_adds_steps_and_only_the_missing_ones_run(database: Database, clock: ManualClock) -> None:
    def add_field(opened: Database) -> Iterator[Progress]:
        changed = opened.cases.update_many({"mark": {"$exists": False}}, {"$set": {"mark": 1}}).modified_count
        yield Progress(changed, changed, changed)

    further = Migration(SUPPORTED + 1, "Cases have a mark", ("begrunnelser",), add_field)
    insert_misspelt(database, 1)
    Storage(database, clock, MIGRATIONS).migrate(no_progress)

    assert Storage(database, clock, [further, *MIGRATIONS]).migrate(no_progress) == (further,)

    assert database.cases.count_documents({"mark": 1}) == 1
    with pytest.raises(StorageError) as refused:
        Storage(database, clock, MIGRATIONS).migrate(no_progress)
    assert refused.value.code == "casebridge.storage_newer"


@pytest.mark.parametrize("found", OLD_PROCESSES)
def test_migrate_refuses_while_an_older_process_is_at_work(found: str, database: Database, clock: ManualClock) -> None:
    insert_misspelt(database, 1)
    insert(database, OLD_PROCESSES[found])
    storage = Storage(database, clock, MIGRATIONS)

    with pytest.raises(StorageError) as refused:
        storage.migrate(no_progress)

    assert refused.value.code == "casebridge.older_process_at_work"
    assert count(database, MISSPELT) == 2, "nothing was changed"
    assert storage.version.read().newest == 0
    clock.pass_time(SILENT.total_seconds() + 1)
    assert storage.migrate(no_progress) == MIGRATIONS, "it was killed, and a minute is over"


@pytest.mark.parametrize("found", NO_OLD_PROCESSES)
def test_migrate_runs_beside_processes_that_are_not_older(found: str, database: Database, clock: ManualClock) -> None:
    insert(database, NO_OLD_PROCESSES[found])
    assert Storage(database, clock, MIGRATIONS).migrate(no_progress) == MIGRATIONS


def test_migrate_notices_an_older_process_that_starts_meanwhile(database: Database, clock: ManualClock) -> None:
    """It started before the migration was announced, and announced itself after the first check for older processes."""
    storage = Storage(database, clock, MIGRATIONS)
    announce = storage.version.announce

    def started_meanwhile(target: int) -> None:
        insert(database, OLD_PROCESSES["a listener of 5aec059"])
        announce(target)

    storage.version.announce = started_meanwhile  # type: ignore[method-assign]  # the moment between the two looks

    with pytest.raises(StorageError, match="1 listeners"):
        storage.migrate(no_progress)

    assert storage.version.read().newest == 0, "taken back: the older release may go on"


def test_the_command_shows_progress_and_can_be_repeated(world: World, processes: Processes) -> None:
    total = insert_misspelt(world.database, 3)

    first, second = processes.run("migrate"), processes.run("migrate")

    assert (first.exit_code, second.exit_code) == (0, 0), first.notes + second.notes
    assert f"migration 1: {total} of {total} documents" in first.notes
    assert "Migration 1 is done" in first.notes
    assert "Migration" not in second.notes
    assert count(world.database, RIGHT) == total


def test_the_command_refuses_beside_an_older_listener(world: World, processes: Processes) -> None:
    insert_misspelt(world.database, 3)
    world.database.listeners.insert_one({"_id": "old", "seenAt": world.process().stores.clock.now()})

    refused = processes.run("migrate")

    assert refused.exit_code == 1
    assert "1 listeners" in refused.notes
    assert "casebridge.older_process_at_work" in refused.notes
    assert count(world.database, MISSPELT) == 4


def test_an_empty_database_gets_this_version(world: World, processes: Processes) -> None:
    assert processes.run("prepare").exit_code == 0
    assert world.database.storage.find_one() == {"_id": "version", "version": SUPPORTED}


def test_prepare_leaves_the_version_of_a_used_database(world: World, processes: Processes) -> None:
    world.database.messages.insert_one({"_id": "m", "queue": request_intake.QUEUE, **RIGHT})
    prepared = processes.run("prepare")
    assert prepared.exit_code == 0
    assert "migrations are left" in prepared.notes
    assert world.database.storage.find_one() is None
