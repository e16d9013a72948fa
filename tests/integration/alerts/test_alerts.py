"""One alert tells people of a failure, with its cause and a next action, unless the failure is muted. No alert is ever lost."""

from datetime import timedelta
from typing import Any

import pytest
from bson import Regex

from casebridge.alerts.blacklist import Blacklist
from casebridge.clock import ServerClock
from resources.wiring.process import Process
from tests.support.processes import Processes
from tests.support.shifted_clock import ShiftedClock
from tests.support.world import World

HOUR = timedelta(hours=1)


@pytest.fixture
def clock(world: World) -> ShiftedClock:
    return ShiftedClock(ServerClock(world.database.server_time))


def populate(world: World) -> str:
    population = world.populate(institutions=1, courses=1, requests=0, variety=False)
    return str(population["institutions"][0]["orgId"])


def fail(world: World, process: Process, org_id: str, oddity: str = "no_flow", times: int = 1) -> None:
    """Add this many new requests that will be set aside, and handle them."""
    for _ in range(times):
        world.control.add_request(org_id, oddity=oddity)
    world.send(process)


def texts(world: World) -> list[str]:
    return [message["message"]["text"] for message in world.control.slack_messages()]


def correlation_ids(world: World) -> list[str]:
    return [case["correlationId"] for case in world.database.cases.find().sort("openedAt", 1)]


def mute(world: World, **row: Any) -> None:
    world.database.slack_blacklists.insert_one({"reason": "known", **row})


@pytest.mark.parametrize(
    ("slack", "way", "channel"),
    [({}, "chat.postMessage", "mule-prod"), ({"token": None}, "webhook", None)],
    ids=["bot token", "incoming webhook"],
)
def test_an_alert_says_who_where_why_and_what_to_do(
    slack: dict[str, Any], way: str, channel: str | None, world: World
) -> None:
    world.configure(slack=slack)
    org_id = populate(world)

    fail(world, world.process(), org_id, "no_candidate")

    (message,) = world.control.slack_messages()
    assert (message["way"], message["channel"]) == (way, channel)
    text = message["message"]["text"]
    (case_id,) = correlation_ids(world)
    assert f"*{org_id}/test*" in text
    assert "wiseflow-begrunnelse" in text
    assert "find_candidate" in text
    assert "wiseflow.participant_missing" in text
    assert "is the candidate of the request" in text
    assert "Next: Check that the candidate is on the flow" in text
    assert f"casebridge where {case_id}" in text


def test_many_failures_of_one_cause_are_one_alert(world: World) -> None:
    org_id = populate(world)

    fail(world, world.process(), org_id, times=7)

    (text,) = texts(world)
    (alert,) = world.database.alerts.find()
    assert sorted(alert["correlationIds"]) == sorted(correlation_ids(world))
    assert text.count("casebridge where") == 1


def test_the_same_cause_is_alerted_once_an_hour_and_another_cause_at_once(world: World, clock: ShiftedClock) -> None:
    org_id = populate(world)
    process = world.process(clock)
    fail(world, process, org_id)
    clock.pass_time(HOUR / 2)
    fail(world, process, org_id)
    assert len(texts(world)) == 1
    fail(world, process, org_id, "two_flows")
    assert len(texts(world)) == 2

    clock.pass_time(HOUR)
    fail(world, process, org_id)

    assert len(texts(world)) == 3
    assert correlation_ids(world)[-1] in texts(world)[-1]
    assert correlation_ids(world)[0] not in texts(world)[-1], "told before"


def test_institutions_do_not_share_alerts(world: World) -> None:
    population = world.populate(institutions=2, courses=2, requests=0, variety=False)
    process = world.process()
    for institution in population["institutions"]:
        fail(world, process, institution["orgId"])

    assert len(texts(world)) == 2


@pytest.mark.parametrize(
    "row",
    [
        {"pattern": "flow_missing"},
        {"pattern": r"^wiseflow\.flow_missing No flow"},
        {"pattern": "flow", "submodule": "wiseflow-begrunnelse"},
        {"pattern": "flow", "expires": "2999-01-01T00:00:00"},
        {"submodule": "wiseflow-begrunnelse"},
    ],
    ids=str,
)
def test_a_muted_failure_sends_no_alert_and_is_audited(row: dict[str, Any], world: World) -> None:
    org_id = populate(world)
    mute(world, orgId=org_id, **row)

    fail(world, world.process(), org_id)

    assert texts(world) == []
    (alert,) = world.database.alerts.find()
    assert alert["state"] == "muted"
    assert len(world.audit(success=False, code="wiseflow.flow_missing")) == 1


@pytest.mark.parametrize(
    "row",
    [
        {"pattern": "flow_missing", "expires": "2026-01-01T00:00:00+01:00"},
        {"pattern": "flow_missing", "expires": "some day"},
        {"pattern": "flow_missing", "submodule": "wiseflow-begrunnelse-svar"},
        {"pattern": "flow_missing", "orgId": "somebody-else.no"},
        {"pattern": "flow_ambiguous"},
        {"pattern": "(flow_missing"},
    ],
    ids=str,
)
def test_a_failure_that_is_not_or_no_longer_muted_is_alerted(row: dict[str, Any], world: World) -> None:
    org_id = populate(world)
    mute(world, **{"orgId": org_id, **row})

    fail(world, world.process(), org_id)

    assert len(texts(world)) == 1


def test_a_transient_failure_is_alerted_at_the_third_attempt_and_when_it_is_dead(
    world: World, clock: ShiftedClock
) -> None:
    """There are two alerts for one cause: the first asks for nothing, the second asks for a replay."""
    world.configure(queue={"retry_base_seconds": 60.0, "retry_cap_seconds": 60.0})
    org_id = populate(world)
    process = world.process(clock)
    world.control.add_request(org_id)
    world.control.faults({"system": "wiseflow", "kind": "status", "status": 503, "path": "/sources/search"})

    counts = []
    for _ in range(5):
        world.send(process)
        counts.append(len(texts(world)))
        clock.pass_time(timedelta(seconds=90))

    assert counts == [0, 0, 1, 1, 2]
    first, second = texts(world)
    assert "Next: It is tried again; if it lasts" in first
    assert "The message has had its 5 attempts: replay it when the cause is gone." in second
    (message,) = world.database.messages.find()
    assert (message["status"], message["attempts"]) == ("dead", 5)
    (failure,) = process.operators.status.read().failures
    assert (failure.code, failure.messages) == ("wiseflow.http_503", 1)
    assert failure.next_action.endswith("replay it when the cause is gone.")


def test_an_endless_429_is_alerted_when_a_message_has_waited_too_long(world: World, clock: ShiftedClock) -> None:
    """A 429 costs no attempt, so no other alert would come. The alert is repeated as long as the failure lasts."""
    world.configure(queue={"overdue_seconds": 900.0})
    org_id = populate(world)
    process = world.process(clock)
    world.control.add_request(org_id)
    slow_down = {"kind": "status", "status": 429, "retry_after": 1.0}
    world.control.faults({"system": "wiseflow", "path": "/sources/search", **slow_down})

    counts = []
    for _ in range(16):
        world.send(process)
        counts.append(len(texts(world)))
        clock.pass_time(timedelta(minutes=10))

    assert counts[:2] == [0, 0], "ten minutes are no news"
    assert counts[2] == counts[5] == 1, "told after a quarter of an hour, and once an hour at most"
    assert counts[-1] == 3
    (alert,) = world.database.alerts.find()
    assert (alert["code"], alert["setAside"]) == ("wiseflow.rate_limited", False)
    assert "waited for this for too long" in texts(world)[0]
    assert "Next: Ask the support of WISEflow why calls are refused for so long" in texts(world)[0]
    assert f"casebridge where {correlation_ids(world)[0]}" in texts(world)[0]
    (message,) = world.database.messages.find()
    assert (message["status"], message["attempts"]) == ("enqueued", 0)

    world.control.clear_faults()
    world.send(process)
    assert world.control.summary()["dispatched"] == 1


def test_a_short_429_sends_no_alert(world: World, clock: ShiftedClock) -> None:
    world.configure(queue={"overdue_seconds": 900.0})
    org_id = populate(world)
    process = world.process(clock)
    slow_down = {"kind": "status", "status": 429, "retry_after": 0.01, "times": 1}
    for _ in range(4):
        world.control.faults({"system": "wiseflow", "path": "/sources/search", **slow_down})
        world.control.add_request(org_id)
        world.send(process)
        clock.pass_time(timedelta(minutes=14))
        world.send(process)

    assert texts(world) == []
    assert world.control.summary()["dispatched"] == 4


@pytest.mark.parametrize("side", ["requests", "answers"])
def test_a_poll_that_keeps_failing_is_alerted_though_each_sync_is_a_process_of_its_own(
    side: str, world: World, processes: Processes
) -> None:
    populate(world)
    org_id = world.database.orgs.find_one()["orgId"]
    world.control.assessors(paused=True)
    world.control.add_request(org_id)
    world.send(world.process())
    world.control.faults(
        {"system": "fs", "kind": "status", "status": 503}
        if side == "requests"
        else {"system": "wiseflow", "method": "GET", "kind": "status", "status": 503}
    )

    counts = []
    for _ in range(3):
        assert processes.run("sync", "--wait", "0").exit_code != 0
        counts.append(len(texts(world)))

    assert counts == [0, 0, 1]
    assert f"{'fs' if side == 'requests' else 'wiseflow'}.http_503" in texts(world)[0]
    assert "Next: " in texts(world)[0]


def test_without_a_channel_alerts_wait_and_are_not_lost(world: World) -> None:
    world.configure(slack={"token": None, "webhook_url": None})
    org_id = populate(world)
    fail(world, world.process(), org_id)
    assert texts(world) == []
    assert world.process().operators.status.read().alerts_owed == 1

    world.configure()
    world.process().relay.send_alerts()

    assert len(texts(world)) == 1


@pytest.mark.parametrize(
    "row",
    [
        {"pattern": 404},
        {"pattern": Regex("x404")},
        {"pattern": Regex("(")},
        {"pattern": "/participant/"},
        {"pattern": "(a+)+$"},
        {"pattern": ["participant"]},
        {"pattern": "participant", "expires": 4711},
        {"pattern": "participant", "orgId": ["x"]},
        {"pattern": "participant", "submodule": 1},
    ],
)
def test_an_invalid_row_mutes_nothing(row: dict[str, Any], world: World) -> None:
    org_id = populate(world)
    mute(world, **row)

    fail(world, world.process(), org_id, "no_candidate")

    assert len(texts(world)) == 1


def test_an_invalid_row_is_logged_once_and_shown(world: World, caplog: pytest.LogCaptureFixture) -> None:
    populate(world)
    mute(world, _id="odd", pattern=404)
    mute(world, _id="good", pattern="x")
    blacklist = Blacklist(world.database)

    assert [[row["_id"] for row in blacklist.rows()] for _ in range(3)] == [["good"]] * 3

    assert [record.getMessage() for record in caplog.records if "odd" in record.getMessage()] == [
        "the row odd of slack-blacklists mutes nothing: pattern is neither a text nor a regular expression"
    ]
    assert world.process().operators.status.read().unusable_mutes == {
        "odd": "pattern is neither a text nor a regular expression"
    }


def test_a_regular_expression_of_the_database_mutes(world: World) -> None:
    org_id = populate(world)
    mute(world, pattern=Regex("PARTICIPANT_missing", "i"))

    fail(world, world.process(), org_id, "no_candidate")

    assert texts(world) == []
    assert world.database.alerts.count_documents({"state": "muted"}) == 1


@pytest.mark.parametrize(
    "poor",
    [
        {},
        {"institution": None, "orgId": 5, "code": {"a": 1}, "cause": 7, "correlationIds": None},
        {"correlationIds": 12, "setAside": "yes"},
        {"openedAt": "yesterday", "correlationIds": [None, 3]},
    ],
)
def test_an_alert_without_some_fields_does_not_stop_the_others(poor: dict[str, Any], world: World) -> None:
    org_id = populate(world)
    process = world.process()
    due = process.stores.clock.now() - HOUR
    world.database.alerts.insert_one({"_id": "poor", "state": "owed", "dueAt": due, **poor})

    fail(world, process, org_id, "no_candidate")

    assert any("wiseflow.participant_missing" in text for text in texts(world))
