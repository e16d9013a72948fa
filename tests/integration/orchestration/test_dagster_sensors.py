"""What the sensors do in a tick, and what they request from Dagster."""

import json
import time
from collections.abc import Callable

import dagster as dg
import pytest
from pymongo.errors import PyMongoError

from casebridge import time_limit
from casebridge.errors import AuthBrokenError, TransientError
from casebridge.sources.polling import PollOutcome
from casebridge.time_limit import TimeLimit
from resources.wiring.process import Process
from sensors.cursor import Cursor
from sensors.polling_sensor import BUDGET_SECONDS, NothingCouldBeReadError, poll_round
from tests.integration.conftest import DYNAMIC_PARTITIONS, Operator
from tests.support.world import World

Operators = Callable[..., Operator]


@pytest.fixture
def listening(world: World, operator: Operators) -> Process:
    """A process whose listener has sent a heartbeat."""
    process = world.process()
    process.register_listener(process.listener())
    return process


def under_way(instance: dg.DagsterInstance, job: str) -> None:
    instance.add_run(dg.DagsterRun(job_name=job, status=dg.DagsterRunStatus.STARTED))


def test_new_requests_reach_the_inbox_and_the_asset(world: World, operator: Operators) -> None:
    ui = operator(institutions=2, requests=12)
    tick = ui.tick("fs_requests_sensor")

    assert world.database.messages.count_documents({"status": "enqueued"}) == 12
    (event,) = tick.asset_events
    assert event.asset_key == dg.AssetKey("explanation_requests")
    assert event.metadata["accepted"].value == 12
    (partitions,) = tick.dynamic_partitions_requests
    assert partitions.partitions_def_name == DYNAMIC_PARTITIONS
    assert partitions.partition_keys == [
        institution.key for institution in world.process().stores.institutions.active()
    ]


def test_a_tick_that_finds_nothing_new_says_so_and_writes_no_event(world: World, operator: Operators) -> None:
    ui = operator(requests=4)
    ui.run("sync_now")
    tick = ui.tick("fs_requests_sensor")

    assert tick.asset_events == []
    assert tick.run_requests == []
    assert "0 new" in tick.skip_message


def test_known_institutions_are_not_added_again(world: World, operator: Operators) -> None:
    ui = operator(institutions=2)
    keys = [institution.key for institution in world.process().stores.institutions.active()]
    ui.instance.add_dynamic_partitions(DYNAMIC_PARTITIONS, keys)

    assert not ui.tick("fs_requests_sensor").dynamic_partitions_requests


def test_answers_reach_the_inbox_and_the_asset(world: World, operator: Operators) -> None:
    ui = operator(requests=6)
    ui.tick("fs_requests_sensor")
    ui.run("process_queue")
    world.control.wait("answered", 6)
    tick = ui.tick("wiseflow_answers_sensor")

    (event,) = tick.asset_events
    assert event.asset_key == dg.AssetKey("explanation_answers")
    assert event.metadata["accepted"].value == 6


@pytest.mark.parametrize("sensor", ["fs_requests_sensor", "backlog_sensor"])
def test_without_a_listener_one_batch_is_requested(world: World, operator: Operators, sensor: str) -> None:
    ui = operator(requests=6)
    ui.tick("fs_requests_sensor")

    first = ui.tick(sensor)
    second = ui.tick(sensor, first.cursor)

    assert len(first.run_requests) == len(second.run_requests) == 1
    assert ui.defs.resolve_sensor_def(sensor).job_name == "process_queue"
    assert first.run_requests[0].run_key != second.run_requests[0].run_key, "a spent key would drop the next batch"


@pytest.mark.parametrize("sensor", ["fs_requests_sensor", "backlog_sensor"])
def test_no_second_batch_is_requested_while_one_runs(world: World, operator: Operators, sensor: str) -> None:
    ui = operator(requests=6)
    ui.tick("fs_requests_sensor")
    under_way(ui.instance, "process_queue")

    assert not ui.tick(sensor).run_requests


@pytest.mark.parametrize("sensor", ["fs_requests_sensor", "backlog_sensor"])
def test_while_a_listener_is_alive_no_run_is_started(
    world: World, operator: Operators, listening: Process, sensor: str
) -> None:
    ui = operator(requests=6)

    ui.tick("fs_requests_sensor")
    tick = ui.tick(sensor)

    assert not tick.run_requests
    assert "listeners are at work" in tick.skip_message


def test_a_batch_helps_a_listener_that_leaves_messages_waiting(
    world: World, operator: Operators, listening: Process
) -> None:
    world.configure(queue={"overdue_seconds": -1.0})
    ui = operator(requests=6)
    ui.tick("fs_requests_sensor")

    assert ui.tick("backlog_sensor").run_requests


def test_a_paused_institutions_messages_start_no_runs(world: World, operator: Operators) -> None:
    """Its credentials may be refused for a week. A run each minute would do nothing ten thousand times."""
    ui = operator(institutions=1, requests=6)
    (institution,) = world.process().stores.institutions.active()
    ui.tick("fs_requests_sensor")
    world.control.credentials(institution.org_id, "wiseflow", valid=False)
    ui.run("process_queue")

    assert world.database.messages.count_documents({"status": "enqueued"}) == 6
    assert "no message is due" in ui.tick("backlog_sensor").skip_message


def test_one_institution_that_fails_does_not_fail_the_tick(world: World, operator: Operators) -> None:
    ui = operator(institutions=2, courses=4, requests=12)
    broken, _ = world.process().stores.institutions.active()
    world.control.faults({"kind": "status", "system": "fs", "status": 503, "orgId": broken.org_id})

    tick = ui.tick("fs_requests_sensor")

    assert tick.asset_events[0].metadata["institutions_failed"].value == 1
    assert broken.key in tick.asset_events[0].metadata["failures"].value


def test_if_no_institution_can_be_read_the_tick_fails_with_cause_and_next_action(
    world: World, operator: Operators
) -> None:
    ui = operator(institutions=2)
    world.control.faults({"kind": "status", "system": "fs", "status": 503})

    with pytest.raises(NothingCouldBeReadError, match="Next:"):
        ui.tick("fs_requests_sensor")


def test_a_paused_exam_system_does_not_hide_that_no_other_can_be_read(world: World, operator: Operators) -> None:
    ui = operator(institutions=2)
    process = world.process()
    paused, _ = process.stores.institutions.active()
    process.stores.pauses.pause(
        paused.key,
        paused.exam_system,
        AuthBrokenError("wiseflow.credentials_refused", "WISEflow refused them.", "Renew them."),
    )
    world.control.faults({"kind": "status", "system": "fs", "status": 503})

    with pytest.raises(NothingCouldBeReadError, match="Next:"):
        ui.tick("fs_requests_sensor")


def test_after_an_outage_the_cursor_is_at_the_institutions_that_were_not_polled(
    world: World, operator: Operators
) -> None:
    """With an error the cursor would stay: institutions late in the order would never be polled."""
    operator(institutions=3, courses=3)
    process = world.process()
    keys = [institution.key for institution in process.stores.institutions.active()]
    failed = TransientError("fs.timeout", "FS took longer than a call may take.", "Nothing to do unless it lasts.")
    outcomes = [
        PollOutcome(keys[0], error=failed, exam_system="WISEFLOW"),
        PollOutcome(keys[1], error=failed, exam_system="WISEFLOW"),
        PollOutcome(keys[2], skipped=True, exam_system="WISEFLOW"),
    ]

    done = poll_round(process, "FS", lambda _process, _institutions: outcomes, Cursor())

    assert done.cursor.first == f"{keys[2]}/WISEFLOW"
    with pytest.raises(NothingCouldBeReadError):
        poll_round(process, "FS", lambda _process, _institutions: outcomes[:2], Cursor())


def test_a_tick_ends_before_dagster_stops_it() -> None:
    limit = TimeLimit.of(BUDGET_SECONDS)
    assert limit.end - time.monotonic() <= BUDGET_SECONDS < 60
    with time_limit.within(limit):
        assert time_limit.seconds_left(1000.0) <= BUDGET_SECONDS
    assert time_limit.seconds_left(1000.0) == 1000.0


def test_the_turn_moves_on_with_every_tick(world: World, operator: Operators) -> None:
    ui = operator(institutions=3, courses=3)
    keys = [institution.tenant for institution in world.process().stores.institutions.active()]
    cursor, firsts = None, []
    for _ in range(3):
        cursor = ui.tick("fs_requests_sensor", cursor).cursor
        firsts.append(json.loads(cursor or "")["first"])

    assert firsts == [keys[1], keys[2], keys[0]]


def test_a_failed_run_is_alerted_once_without_its_error_text(world: World, operator: Operators) -> None:
    ui = operator()
    for _ in range(2):
        assert not ui.run("sync_now", {"institutions": ["nowhere.no/prod"]}).success

    first = ui.tick("run_failure_alerts")
    ui.tick("run_failure_alerts", first.cursor)

    (message,) = world.control.slack_messages()
    assert "dagster.run_failed" in json.dumps(message)
    assert "sync_now" in json.dumps(message)
    assert "nowhere.no" not in json.dumps(message)


def test_while_a_listener_is_alive_it_sends_the_alert(world: World, operator: Operators, listening: Process) -> None:
    ui = operator()
    ui.run("sync_now", {"institutions": ["nowhere.no/prod"]})
    ui.tick("run_failure_alerts")

    assert world.control.slack_messages() == []
    assert listening.stores.alerts.pending() == 1


def test_a_failure_that_cannot_be_alerted_now_is_alerted_later(
    world: World, operator: Operators, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run fails because MongoDB is away. The alert cannot be stored now, and the cursor must not go past it."""
    ui = operator()
    before = ui.tick("run_failure_alerts").cursor
    ui.run("sync_now", {"institutions": ["nowhere.no/prod"]})
    with monkeypatch.context() as outage:
        outage.setenv("CASEBRIDGE_MONGODB__URI", "mongodb://127.0.0.1:1")
        outage.setenv("CASEBRIDGE_MONGODB__SERVER_SELECTION_SECONDS", "0.2")
        with pytest.raises(PyMongoError):
            ui.tick("run_failure_alerts", before)

    ui.tick("run_failure_alerts", before)

    assert len(world.control.slack_messages()) == 1
