"""A newer release has migrated the database. No process of this release works on it, and each says what to do."""

import threading
from collections.abc import Callable

import pytest

from casebridge.storage.migrations import MIGRATIONS
from casebridge.storage.version import StorageError
from command_line.listen import keep_announcing
from command_line.report import DagsterReport
from tests.integration.conftest import Operator
from tests.support.processes import Processes
from tests.support.world import World

NEWER = len(MIGRATIONS) + 1
STORED = {
    "migrated": {"version": NEWER},
    "being migrated": {"version": len(MIGRATIONS), "target": NEWER},
}
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("listen",), ("consume",), ("sync",), ("status",), ("where", "0" * 32), ("prune",), ("prepare",), ("migrate",),
    ("dead", "list"),
    ("dead", "replay", "--for-real", "--reason", "r", "--asked-by", "a"),
)  # fmt: skip
SENSORS = ("fs_requests_sensor", "wiseflow_answers_sensor", "backlog_sensor", "run_failure_alerts")
NO_BROKER = {"CASEBRIDGE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9"}


def say(world: World, stored: dict[str, int] | dict[str, str]) -> None:
    world.database.storage.replace_one({"_id": "version"}, stored, upsert=True)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_ends_with_a_next_action(command: tuple[str, ...], world: World, processes: Processes) -> None:
    world.populate(institutions=1, courses=1, requests=1)
    say(world, STORED["migrated"])

    ended = processes.run(*command, **NO_BROKER)

    assert ended.exit_code == 1, ended.notes
    assert "casebridge.storage_newer" in ended.notes
    assert "Next: Start the newer release" in ended.notes
    assert "Traceback" not in ended.notes
    assert world.database.listeners.count_documents({}) == 0
    assert world.database.processes.count_documents({}) == 0
    assert world.database.messages.count_documents({}) == 0


@pytest.mark.parametrize("stored", STORED)
def test_each_sensor_fails_with_a_next_action(stored: str, world: World, operator: Callable[..., Operator]) -> None:
    ui = operator(institutions=1, courses=1, requests=1)
    ui.tick("backlog_sensor")
    say(world, STORED[stored])

    for sensor in SENSORS:
        with pytest.raises(StorageError, match="Start the newer release"):
            ui.tick(sensor)

    assert world.database.messages.count_documents({}) == 0
    say(world, {"version": len(MIGRATIONS)})
    ui.tick("fs_requests_sensor")
    assert world.database.messages.count_documents({}) == 1, "the code server went on by itself"


def test_a_run_fails_with_a_next_action(world: World, operator: Callable[..., Operator]) -> None:
    ui = operator(institutions=1, courses=1, requests=1)
    say(world, STORED["migrated"])

    result = ui.run("sync_now")

    assert not result.success
    said = [event.message or "" for event in result.all_events] + [
        str(event.event_specific_data) for event in result.all_events if event.is_failure
    ]
    assert any("Start the newer release" in text for text in said)
    assert world.database.messages.count_documents({}) == 0
    assert world.database.processes.count_documents({}) == 0


def test_a_run_announces_itself_while_it_is_at_work(world: World, operator: Callable[..., Operator]) -> None:
    operator(institutions=1, courses=1, requests=0)
    process = world.process()
    with process.storage.processes.at_work("run"):
        (entry,) = world.database.processes.find()
    assert (entry["kind"], entry["storageVersion"]) == ("run", len(MIGRATIONS))
    assert world.database.processes.count_documents({}) == 0


def test_a_listener_that_was_frozen_meanwhile_stops(world: World) -> None:
    process = world.process()
    listener = process.listener()
    process.register_listener(listener)
    (entry,) = world.database.listeners.find()
    assert entry["storageVersion"] == len(MIGRATIONS)
    say(world, STORED["migrated"])
    stop = threading.Event()
    refused: list[StorageError] = []

    keep_announcing(process, listener, DagsterReport(process, listener.outcome_counts), stop, 0.01, refused)

    assert stop.is_set()
    assert [error.code for error in refused] == ["casebridge.storage_newer"]


@pytest.mark.parametrize(
    "stored", [{"version": "2"}, {}, {"version": -1}, {"version": True}, {"version": 1, "target": "x"}], ids=str
)
def test_an_unreadable_version_stops_a_process_too(stored: dict[str, str], world: World, processes: Processes) -> None:
    say(world, stored)

    ended = processes.run("status")

    assert ended.exit_code == 1
    assert "casebridge.storage_version_unreadable" in ended.notes
    world.database.storage.delete_one({"_id": "version"})
    assert processes.run("migrate").exit_code == 0, "what the next action says"
