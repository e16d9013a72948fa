"""The asset checks find what they are made for, and say what to do."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg
import pytest

from resources.wiring.explanations import Explanations
from tests.integration.conftest import Operator, checks_of
from tests.support.world import World

Operators = Callable[..., Operator]


def in_days(days: int) -> datetime:
    return datetime.combine(date.today() + timedelta(days=days), time(), UTC)  # noqa: DTZ011 the database's day


@pytest.fixture
def ui(world: World, operator: Operators) -> Operator:
    """Six requests have been dispatched. The assessors have not answered."""
    world.configure(queue={"lease_seconds": 0.1})
    prepared = operator(institutions=1, courses=2, requests=6)
    world.control.assessors(paused=True)
    assert prepared.run("sync_now").success
    return prepared


def checks(ui: Operator) -> dict[str, dg.AssetCheckEvaluation]:
    result = ui.run("reconcile")
    assert result.success, "a check that fails tells; it does not stop the reconciliation"
    return checks_of(result)


def test_without_failures_every_check_passes(world: World, ui: Operator) -> None:
    world.database.cases.update_many({}, {"$set": {"deadline": in_days(10)}})

    assert {name: check.passed for name, check in checks(ui).items()} == {
        "nothing_lost": True,
        "oldest_pending": True,
        "dead_letters": True,
        "deadline_overdue": True,
        "kafka_lag": True,
    }


def test_a_case_without_a_message_is_lost_and_named(world: World, ui: Operator) -> None:
    """The message is gone, as after a defect. Its key prevents the next read from making another one."""
    case = world.database.cases.find_one({})
    assert case
    longer_ago = case["openedAt"] - timedelta(minutes=1)
    world.database.cases.update_one({"_id": case["_id"]}, {"$set": {"state": "requested", "openedAt": longer_ago}})

    check = checks(ui)["nothing_lost"]

    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert check.metadata["lost"].value == 1
    assert check.metadata["correlation_ids"].value == case["correlationId"]


def test_a_case_whose_message_is_dead_is_set_aside_not_lost(world: World, ui: Operator) -> None:
    (institution, *_) = world.process().stores.institutions.active()
    world.control.add_request(institution.org_id, oddity="no_candidate")

    found = checks(ui)

    assert found["nothing_lost"].passed
    assert not found["dead_letters"].passed
    assert found["dead_letters"].severity is dg.AssetCheckSeverity.WARN
    assert "wiseflow.participant_missing" in (found["dead_letters"].description or "")


def test_a_message_that_waits_too_long_is_reported(world: World, ui: Operator) -> None:
    (institution, *_) = world.process().stores.institutions.active()
    world.control.add_request(institution.org_id)
    world.process().capability(Explanations).reader.read_new([institution])
    world.control.credentials(institution.org_id, "wiseflow", valid=False)
    world.database.messages.update_many({}, {"$set": {"enqueuedAt": datetime.now(UTC) - timedelta(hours=1)}})

    check = checks(ui)["oldest_pending"]

    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert check.metadata["paused_institutions"].value == institution.tenant


@pytest.mark.parametrize(
    ("days", "severity", "past", "near"),
    [
        pytest.param(-1, dg.AssetCheckSeverity.ERROR, 1, 0, id="yesterday is past"),
        pytest.param(0, dg.AssetCheckSeverity.WARN, 0, 1, id="today is not over"),
        pytest.param(2, dg.AssetCheckSeverity.WARN, 0, 1, id="the day after tomorrow is near"),
    ],
)
def test_the_legal_deadline(
    world: World, ui: Operator, days: int, severity: dg.AssetCheckSeverity, past: int, near: int
) -> None:
    world.database.cases.update_many({}, {"$set": {"deadline": in_days(10)}})
    case = world.database.cases.find_one({})
    assert case
    world.database.cases.update_one({"_id": case["_id"]}, {"$set": {"deadline": in_days(days)}})

    check = checks(ui)["deadline_overdue"]

    assert not check.passed
    assert check.severity is severity
    assert (check.metadata["past"].value, check.metadata["near"].value) == (past, near)
    (row,) = check.metadata["most_urgent"].value.records if past + near else []
    assert row.data["correlation_id"] == case["correlationId"]
    assert set(row.data) == {"correlation_id", "institution", "deadline", "state", "set_aside"}, "nothing personal"


def test_an_answered_case_has_no_deadline_any_more(world: World, ui: Operator) -> None:
    world.database.cases.update_many({}, {"$set": {"deadline": in_days(-3)}})
    world.control.assessors(paused=False)
    world.control.wait("answered", 6)
    assert ui.run("sync_now").success

    assert checks(ui)["deadline_overdue"].passed
