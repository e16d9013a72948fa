"""An institution that is taken out while its assessors are at work: people are told of its open cases, and of their deadlines."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final

import pytest

from casebridge.clock import ServerClock
from casebridge.database import Document
from casebridge.exams.deadlines import at_midnight
from casebridge.exams.explanations.case_state import CaseState
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.integration.exams.test_between_two_looks import ALL, read
from tests.support.end_state import check_everything
from tests.support.shifted_clock import ShiftedClock
from tests.support.world import World

REQUESTS: Final = 6
AN_HOUR: Final = timedelta(hours=1, minutes=1)
OPEN_OR_NOT: Final = {
    CaseState.REQUESTED: True, CaseState.DISPATCHED: True, CaseState.REGISTERED: False, CaseState.SHOWN: False,
    CaseState.WITHDRAWN: False,
}  # fmt: skip


@pytest.fixture
def clock(world: World) -> ShiftedClock:
    return ShiftedClock(ServerClock(world.database.server_time))


def asked(world: World, clock: ShiftedClock, institutions: int = 2, **order: Any) -> str:
    """All is dispatched and nothing waits in the queue; the institution that will be taken out."""
    world.populate(institutions=institutions, courses=institutions, requests=REQUESTS, variety=False, **order)
    world.control.assessors(paused=True)
    process = world.process(clock)
    world.send(process)
    assert {case["state"] for case in world.database.cases.find()} == {"dispatched"}
    assert world.database.messages.count_documents({}) == 0
    return process.stores.institutions.active()[0].org_id


def in_orgs(change: Document) -> Callable[[World, str], object]:
    return lambda world, org_id: world.database.orgs.update_one({"orgId": org_id}, change)


def in_environments(change: Document) -> Callable[[World, str], object]:
    return lambda world, org_id: world.database.environments.update_one({"orgId": org_id}, change)


def removed(world: World, org_id: str) -> None:
    world.database.environments.delete_one({"orgId": org_id})


WAYS: Final[dict[str, Callable[[World, str], object]]] = {
    "aktiv is false": in_orgs({"$set": {"aktiv": False}}),
    "begrunnelse is false": in_environments({"$set": {"begrunnelse": False}}),
    "does not validate": in_orgs({"$set": {"institusjonsnr": "none"}}),
    "has no name": in_environments({"$set": {"env": 7}}),
    "is removed": removed,
}


def of(world: World, org_id: str) -> list[str]:
    return sorted(case["correlationId"] for case in world.database.cases.find({"orgId": org_id}))


def told(world: World, process: Process, clock: ShiftedClock, code: str = "institution.inactive") -> list[str]:
    """The cases that people hear of now, with an hour gone by."""
    before = len(world.control.slack_messages())
    clock.pass_time(AN_HOUR)
    process.relay.send_alerts()
    texts = [one["message"]["text"] for one in world.control.slack_messages()][before:]
    known = sorted(case["correlationId"] for case in world.database.cases.find())
    return [key for key in known for text in texts if code in text and key in text]


@pytest.mark.parametrize("institutions", [1, 2], ids=["the only one", "one of two"])
@pytest.mark.parametrize("way", WAYS)
def test_open_cases_of_an_institution_that_is_taken_out_are_told_of_once(
    way: str, institutions: int, world: World, clock: ShiftedClock
) -> None:
    org_id = asked(world, clock, institutions)
    WAYS[way](world, org_id)
    process = world.process(clock)
    for _ in range(2):
        read(process, reach_back=ALL)
    assert told(world, process, clock) == of(world, org_id)
    read(process)
    assert told(world, process, clock) == [], "not again at each poll"

    case = world.database.cases.find_one({"orgId": org_id})
    assert case is not None
    further = {**case, "_id": "further", "correlationId": "0198c0ff-ee00-7000-8000-000000000001"}
    del further["inactiveToldAt"]
    world.database.cases.insert_one(further)
    for _ in range(2):
        read(process)
    assert told(world, process, clock) == [further["correlationId"]]

    # Their deadlines pass like those of others.
    world.database.cases.update_many({"orgId": org_id}, {"$set": {"deadline": at_midnight(date(2026, 1, 2))}})
    for _ in range(2):
        read(process)
    assert told(world, process, clock, "case.deadline_passed") == of(world, org_id)
    read(process)
    assert told(world, process, clock, "case.deadline_passed") == []


def test_what_the_alert_says_to_do_works(world: World, clock: ShiftedClock) -> None:
    org_id = asked(world, clock)
    WAYS["aktiv is false"](world, org_id)
    process = world.process(clock)
    read(process)
    assert told(world, process, clock) == of(world, org_id)

    world.database.orgs.update_one({"orgId": org_id}, {"$set": {"aktiv": True}})
    again = world.process(clock)
    read(again, reach_back=ALL)
    assert world.database.cases.count_documents({"inactiveToldAt": {"$exists": True}}) == 0
    WAYS["begrunnelse is false"](world, org_id)
    once_more = world.process(clock)
    read(once_more)
    assert told(world, once_more, clock) == of(world, org_id), "taken out anew, told anew"

    world.database.environments.update_one({"orgId": org_id}, {"$set": {"begrunnelse": True}})
    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)
    world.carry(world.process(clock))
    check_everything(world, REQUESTS)


@pytest.mark.parametrize("state", CaseState)
def test_only_open_cases_are_told_of(state: CaseState, world: World, clock: ShiftedClock) -> None:
    org_id = asked(world, clock)
    world.database.cases.update_many({"orgId": org_id}, {"$set": {"state": state.value}})
    WAYS["aktiv is false"](world, org_id)
    process = world.process(clock)
    read(process)
    assert told(world, process, clock) == (of(world, org_id) if OPEN_OR_NOT[state] else [])


def test_nobody_is_told_while_all_are_active_or_by_a_configuration_of_a_moment_ago(
    world: World, clock: ShiftedClock
) -> None:
    org_id = asked(world, clock)
    process = world.process(clock)
    read(process, reach_back=ALL)
    WAYS["aktiv is false"](world, org_id)
    stale = world.process(clock)
    assert len(stale.stores.institutions.active()) == 1
    world.database.orgs.update_one({"orgId": org_id}, {"$set": {"aktiv": True}})
    read(stale)
    assert told(world, stale, clock) == []


def test_one_of_two_exam_systems_is_taken_out(world: World, clock: ShiftedClock) -> None:
    org_id = asked(world, clock)
    row = world.database.environments.find_one({"orgId": org_id})
    assert row is not None
    world.database.environments.insert_one({**row, "_id": "another", "examSystem": "INSPERA"})
    inspera = {**(world.database.cases.find_one({"orgId": org_id}) or {}), "_id": "i", "examSystem": "INSPERA"}
    world.database.cases.insert_one({**inspera, "correlationId": "0198c0ff-ee00-7000-8000-000000000001"})
    world.database.environments.update_one({"_id": row["_id"]}, {"$set": {"begrunnelse": False}})
    process = world.process(clock)
    assert f"{org_id}/test/INSPERA" in {one.tenant for one in process.stores.institutions.active()}
    process.capability(Explanations).reader.read_new([])
    wiseflow = sorted(
        case["correlationId"] for case in world.database.cases.find({"orgId": org_id, "_id": {"$ne": "i"}})
    )
    assert told(world, process, clock) == wiseflow


@pytest.mark.parametrize("serves", ["test", "prod", ""])
def test_of_another_environment_nobody_is_told(serves: str, world: World, clock: ShiftedClock) -> None:
    org_id = asked(world, clock)
    WAYS["aktiv is false"](world, org_id)
    world.configure(environment=serves)
    process = world.process(clock)
    read(process)
    world.configure()
    everybody = world.process(clock)
    assert told(world, everybody, clock) == ([] if serves == "prod" else of(world, org_id))


def test_what_is_set_aside_has_its_own_alert(world: World, clock: ShiftedClock) -> None:
    org_id = asked(world, clock)
    world.database.cases.update_many({"orgId": org_id}, {"$set": {"setAside": "wiseflow.flow_missing"}})
    WAYS["aktiv is false"](world, org_id)
    process = world.process(clock)
    read(process)
    assert told(world, process, clock) == []


def test_many_are_told_of_in_several_looks(world: World, clock: ShiftedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casebridge.exams.explanations.inactive_institutions.AT_ONCE", 2)
    org_id = asked(world, clock, 1)
    WAYS["aktiv is false"](world, org_id)
    process = world.process(clock)
    heard = []
    for _ in range(4):
        read(process)
        heard.append(told(world, process, clock))
    assert [len(keys) for keys in heard] == [2, 2, 2, 0]
    assert sorted(key for keys in heard for key in keys) == of(world, org_id)
