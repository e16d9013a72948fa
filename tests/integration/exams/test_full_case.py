"""Errors with single cases while deadlines are checked: they stop neither the poll nor the alerts of other cases."""

from datetime import date
from typing import Final

import bson
import pytest
from pymongo.errors import ConnectionFailure, OperationFailure

from casebridge.exams.deadlines import at_midnight
from casebridge.exams.explanations.passed_deadlines import PassedDeadlines
from casebridge.institutions.former_institution import Owner
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.support.added_cases import add
from tests.support.world import World

FULL_BYTES: Final = 16 * 1024 * 1024 - 2
LONG_AGO: Final = at_midnight(date(2026, 1, 2))


@pytest.fixture
def process(world: World) -> Process:
    world.populate(institutions=2, courses=2, requests=4, variety=False)
    world.control.assessors(paused=True)
    process = world.process()
    world.send(process)
    return process


def test_a_full_case_stops_neither_the_poll_nor_other_cases(world: World, process: Process) -> None:
    org_id = str(world.control.cases()[0]["orgId"])
    add(world)
    world.send(process)
    world.database.cases.update_many({"orgId": org_id}, {"$set": {"deadline": LONG_AGO}})
    full, neighbour, *others = world.database.cases.find({"orgId": org_id}).sort("_id", 1)
    room = FULL_BYTES - len(bson.encode({**full, "filler": ""}))
    world.database.cases.update_one({"_id": full["_id"]}, {"$set": {"filler": "x" * room}})
    added = add(world)

    outcomes = process.capability(Explanations).reader.read_new(process.stores.institutions.active())

    assert [outcome.error for outcome in outcomes] == [None, None]
    assert world.database.cases.count_documents({"personlopenr": added["personlopenr"]}) == 1
    alerted = {case["_id"] for case in world.database.cases.find({"deadlineToldAt": {"$exists": True}}, {"_id": 1})}
    assert alerted == {case["_id"] for case in (neighbour, *others)}
    (alert,) = world.database.alerts.find({"code": "case.deadline_passed"})
    assert set(alert["correlationIds"]) == {case["correlationId"] for case in (full, neighbour, *others)}


@pytest.mark.parametrize("error", [ValueError("x"), OperationFailure("x", 17419), RecursionError()], ids=repr)
@pytest.mark.parametrize("where", ["polled", "paused"])
def test_deadlines_that_cannot_be_alerted_fail_no_poll(
    where: str, error: Exception, world: World, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    institution, other = process.stores.institutions.active()
    alert, alerted = PassedDeadlines.alert, []

    def raising(deadlines: PassedDeadlines, owner: Owner) -> int:
        if owner.key == institution.key:
            raise error
        alerted.append(owner.key)
        return alert(deadlines, owner)

    monkeypatch.setattr(PassedDeadlines, "alert", raising)
    if where == "paused":
        for one in (institution, other):
            world.control.credentials(one.org_id, "fs", valid=False)
        process.capability(Explanations).reader.read_new([institution, other])
        alerted.clear()
    outcomes = process.capability(Explanations).reader.read_new([institution, other])

    assert [(outcome.error, outcome.skipped) for outcome in outcomes] == [(None, where == "paused")] * 2
    assert alerted == [other.key]


def test_an_outage_of_the_database_is_not_an_error_of_one_case(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(_deadlines: PassedDeadlines, _owner: Owner) -> int:
        raise ConnectionFailure

    monkeypatch.setattr(PassedDeadlines, "alert", raising)
    with pytest.raises(ConnectionFailure):
        process.capability(Explanations).reader.read_new(process.stores.institutions.active())
