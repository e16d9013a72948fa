"""What documents of some cases bring out while their deadlines are looked at keeps nothing else from being read or told."""

from datetime import date
from typing import Final

import bson
import pytest
from pymongo.errors import ConnectionFailure, OperationFailure

from casebridge.exams.deadlines import at_midnight
from casebridge.exams.explanations.passed_deadlines import PassedDeadlines
from casebridge.institutions.former_institution import Owner
from resources.wiring.bridge import Bridge
from tests.support.added_cases import add
from tests.support.world import World

FULL_BYTES: Final = 16 * 1024 * 1024 - 2
LONG_AGO: Final = at_midnight(date(2026, 1, 2))


@pytest.fixture
def bridge(world: World) -> Bridge:
    world.populate(institutions=2, courses=2, requests=4, variety=False)
    world.control.assessors(paused=True)
    bridge = world.bridge()
    world.send(bridge)
    return bridge


def test_a_case_that_takes_no_mark_stops_neither_the_poll_nor_its_neighbours(world: World, bridge: Bridge) -> None:
    org_id = str(world.control.cases()[0]["orgId"])
    add(world)
    world.send(bridge)
    world.database.cases.update_many({"orgId": org_id}, {"$set": {"deadline": LONG_AGO}})
    full, neighbour, *others = world.database.cases.find({"orgId": org_id}).sort("_id", 1)
    room = FULL_BYTES - len(bson.encode({**full, "filler": ""}))
    world.database.cases.update_one({"_id": full["_id"]}, {"$set": {"filler": "x" * room}})
    added = add(world)

    outcomes = bridge.reader.read_new(bridge.institutions.active())

    assert [outcome.error for outcome in outcomes] == [None, None]
    assert world.database.cases.count_documents({"personlopenr": added["personlopenr"]}) == 1
    told = {case["_id"] for case in world.database.cases.find({"deadlineToldAt": {"$exists": True}}, {"_id": 1})}
    assert told == {case["_id"] for case in (neighbour, *others)}
    (alert,) = world.database.alerts.find({"code": "case.deadline_passed"})
    assert set(alert["correlationIds"]) == {case["correlationId"] for case in (full, neighbour, *others)}


@pytest.mark.parametrize("poison", [ValueError("x"), OperationFailure("x", 17419), RecursionError()], ids=repr)
@pytest.mark.parametrize("where", ["polled", "paused"])
def test_deadlines_that_cannot_be_told_fail_no_poll(
    where: str, poison: Exception, world: World, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    institution, other = bridge.institutions.active()
    tell, told = PassedDeadlines.tell, []

    def raising(deadlines: PassedDeadlines, owner: Owner) -> int:
        if owner.key == institution.key:
            raise poison
        told.append(owner.key)
        return tell(deadlines, owner)

    monkeypatch.setattr(PassedDeadlines, "tell", raising)
    if where == "paused":
        for one in (institution, other):
            world.control.credentials(one.org_id, "fs", valid=False)
        bridge.reader.read_new([institution, other])
        told.clear()
    outcomes = bridge.reader.read_new([institution, other])

    assert [(outcome.error, outcome.skipped) for outcome in outcomes] == [(None, where == "paused")] * 2
    assert told == [other.key]


def test_a_database_that_is_away_is_no_matter_of_one_case(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(_deadlines: PassedDeadlines, _owner: Owner) -> int:
        raise ConnectionFailure

    monkeypatch.setattr(PassedDeadlines, "tell", raising)
    with pytest.raises(ConnectionFailure):
        bridge.reader.read_new(bridge.institutions.active())
