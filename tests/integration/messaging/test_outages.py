"""Other systems are away, slow or wrong: work that does not need them goes on, and nothing is lost when they are back.

Outages of the database are in `test_database_away`.
"""

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import casebridge
from casebridge import clock as clock_module
from casebridge.clock import ServerClock
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from tests.support.end_state import check_case_histories, check_everything, check_queue_is_empty, check_registrations
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.shifted_clock import ShiftedClock
from tests.support.world import World

HOUR = timedelta(hours=1)
PLAIN: dict[str, Any] = {"institutions": 2, "courses": 2, "requests": 6, "variety": False}
REQUESTS = 6
AWAY: tuple[dict[str, Any], ...] = ({"kind": "drop"}, {"kind": "status", "status": 503}, {"kind": "html"})


# Slack and LaaS


@pytest.mark.parametrize("fault", AWAY, ids=lambda fault: fault["kind"])
@pytest.mark.parametrize("slack", [{}, {"token": None}], ids=["bot token", "incoming webhook"])
def test_without_slack_everything_else_is_done_and_the_alert_is_sent_once_it_is_back(
    slack: dict[str, Any], fault: dict[str, Any], world: World
) -> None:
    world.configure(slack=slack)
    population = world.populate(**PLAIN)
    world.control.add_request(population["institutions"][0]["orgId"], oddity="no_flow")
    world.control.faults({"system": "slack", **fault})
    process = world.process()

    world.carry(process)

    assert world.control.summary()["registered"] == REQUESTS
    assert world.database.messages.count_documents({"status": {"$ne": MessageStatus.DEAD.value}}) == 0
    assert process.operators.status.read().alerts_owed == 1
    world.control.clear_faults()
    world.carry_until(process, lambda: process.operators.status.read().alerts_owed == 0, "the alert is sent")
    world.carry(process)
    assert len(world.control.slack_messages()) == 1


@pytest.mark.parametrize("fault", AWAY, ids=lambda fault: fault["kind"])
def test_without_laas_everything_else_is_done_and_its_entries_follow(fault: dict[str, Any], world: World) -> None:
    world.populate(**PLAIN)
    world.control.faults({"system": "laas", **fault})
    process = world.process()

    world.carry(process)

    check_registrations(world, REQUESTS)
    check_case_histories(world)
    assert process.operators.status.read().pending == 0, "what only owes an index entry waits for nobody"
    assert with_pending_effects(world) == 2 * REQUESTS
    world.control.clear_faults()
    world.carry_until(process, lambda: with_pending_effects(world) == 0, "LaaS has every entry")
    check_queue_is_empty(world)
    documents = [row["document"] for row in world.control.laas_documents()]
    assert len(documents) == len({document["id"] for document in documents}) == 2 * REQUESTS


def with_pending_effects(world: World) -> int:
    """How many processed messages have pending effects."""
    return world.database.processed_messages.count_documents({"effectsDueAt": {"$exists": True}})


def test_index_entries_are_dropped_in_the_end_and_alerts_never(world: World) -> None:
    population = world.populate(**PLAIN)
    world.control.add_request(population["institutions"][0]["orgId"], oddity="no_flow")
    world.control.faults({"system": "laas", "kind": "drop"}, {"system": "slack", "kind": "drop"})
    clock = ShiftedClock(ServerClock(world.database.server_time))
    process = world.process(clock)
    world.carry(process)

    clock.pass_time(timedelta(days=world.settings.laas.give_up_days + 1))
    world.carry(process)

    (dead,) = world.database.messages.find()
    assert (dead["status"], dead["effects"]) == ("dead", [])
    assert process.operators.status.read().alerts_owed == 1


# FS and WISEflow


@pytest.mark.parametrize("fault", AWAY, ids=lambda fault: fault["kind"])
@pytest.mark.parametrize("system", ["fs", "wiseflow"])
def test_after_an_outage_polls_go_on_and_dead_messages_can_be_replayed(
    system: str, fault: dict[str, Any], world: World
) -> None:
    world.populate(**PLAIN)
    process = world.process()
    read_requests(process, process.stores.institutions.active())
    if system == "fs":
        process.synchronisation.run_batch()
        world.control.wait("answered", REQUESTS)
        poll_answers(process, process.stores.institutions.active())
    world.control.faults({"system": system, **fault})

    world.carry_until(process, lambda: dead(world) == REQUESTS, "each message has had its five attempts")
    assert world.control.summary()["registered"] == 0
    assert {message["attempts"] for message in world.database.messages.find()} == {5}
    assert len(world.database.alerts.distinct("institution")) == 2

    world.control.clear_faults()
    report = process.operators.dead_letters.replay(
        DeadLetterFilter(), Order(100, dry_run=False, reason="outage", asked_by="a test")
    )
    assert report.changed == REQUESTS
    world.carry(process)
    check_everything(world, REQUESTS)


def dead(world: World) -> int:
    return world.database.messages.count_documents({"status": MessageStatus.DEAD.value})


def test_a_call_whose_answer_is_lost_is_not_done_twice(world: World) -> None:
    """The most dangerous moment: the other system has done it, and we do not know. FS is read again before any repetition."""
    world.populate(**PLAIN)
    lost = {"kind": "drop", "after_effect": True, "times": 2}
    world.control.faults(
        {"system": "fs", "method": "POST", **lost},
        {"system": "wiseflow", "method": "POST", "path": "/explanation/request$", **lost},
    )
    process = world.process()

    world.carry_until(process, lambda: world.control.summary()["outstanding"] == 0, "everything is registered")
    world.carry(process)

    summary = world.control.summary()
    assert (summary["dispatched"], summary["repeated_posts"]) == (REQUESTS, 0)
    check_everything(world, REQUESTS)


def test_a_429_costs_no_attempt(world: World) -> None:
    world.populate(**PLAIN)
    slower = {"kind": "status", "status": 429, "retry_after": 0.05, "times": 4}
    world.control.faults({"system": "fs", "method": "POST", **slower}, {"system": "wiseflow", **slower})
    process = world.process()

    world.carry_until(process, lambda: world.control.summary()["outstanding"] == 0, "everything is registered")
    world.carry(process)

    assert {message["attempts"] for message in world.database.processed_messages.find()} == {1}
    assert {entry["code"] for entry in world.audit(success=False)} == {"fs.rate_limited", "wiseflow.rate_limited"}
    check_everything(world, REQUESTS)


def test_a_token_that_ends_before_its_time_is_renewed_unseen(world: World) -> None:
    world.populate(**PLAIN)
    process = world.process()
    world.send(process)
    world.control.expire_tokens()

    world.carry(process)

    check_everything(world, REQUESTS)
    assert not world.audit(success=False)


@pytest.mark.parametrize("system", ["fs", "wiseflow"])
def test_an_answer_that_drips_is_given_up_and_asked_for_again(system: str, world: World) -> None:
    world.configure(http={"total_seconds": 0.3})
    world.populate(**PLAIN)
    world.control.faults({"system": system, "kind": "slow_body", "seconds": 1.5, "times": 3})
    process = world.process()

    world.carry_until(process, lambda: world.control.summary()["outstanding"] == 0, "everything is registered")
    world.carry(process)

    assert f"{system}.timeout" in {entry["code"] for entry in world.audit(success=False)}
    check_everything(world, REQUESTS)


# Clocks


class HourAhead(datetime):
    """A host's clock that is wrong by an hour."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # its own type has `Self` here
        return datetime.now(tz) + HOUR


@pytest.fixture
def wrong_host_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "datetime", HourAhead)


class WrongHostClock:
    def now(self) -> datetime:
        return HourAhead.now(UTC)


def claimed_by_another(world: World) -> None:
    """Messages that a worker with the right time has claimed."""
    world.populate(**PLAIN)
    holder = world.process(ServerClock(world.database.server_time))
    read_requests(holder, holder.stores.institutions.active())
    assert len(holder.stores.queue.claim("the holder", 100)) == REQUESTS


def test_a_host_whose_clock_is_an_hour_wrong_steals_no_lease(world: World, wrong_host_clock: None) -> None:
    world.configure(queue={"lease_seconds": 60.0})
    claimed_by_another(world)

    assert world.process().synchronisation.run_batch().handled == 0
    assert {message["fence"] for message in world.database.messages.find()} == {1}


def test_it_would_steal_them_if_leases_used_the_hosts_clock(world: World) -> None:
    world.configure(queue={"lease_seconds": 60.0})
    claimed_by_another(world)

    assert world.process(WrongHostClock()).synchronisation.run_batch().handled == REQUESTS


def test_the_engine_never_reads_the_clock_of_the_host() -> None:
    asked = {
        path.name
        for path in Path(casebridge.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in {"datetime.now", "datetime.utcnow", "date.today", "time.time", "datetime.today"}
    }
    assert asked == set()


@pytest.mark.parametrize("shift", [-HOUR, HOUR], ids=["behind", "ahead"])
def test_a_time_that_differs_from_fs_by_an_hour_skips_no_change(shift: timedelta, world: World) -> None:
    population = world.populate(**PLAIN)
    process = world.process(ShiftedClock(ServerClock(world.database.server_time), shift))
    world.carry(process)
    check_everything(world, REQUESTS)

    world.control.add_request(population["institutions"][0]["orgId"])
    world.carry(process)

    check_everything(world, REQUESTS + 1)
