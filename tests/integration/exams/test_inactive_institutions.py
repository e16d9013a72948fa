"""An institution is deactivated while its assessors work: alerts name its open cases and their passed deadlines."""

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
from tests.integration.exams.test_between_two_polls import ALL, read
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
    """All requests are dispatched and the queue is empty. The institution is the one that will be deactivated."""
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


def alerted(world: World, process: Process, clock: ShiftedClock, code: str = "institution.inactive") -> list[str]:
    """The cases that are alerted now, after one hour has passed."""
    before = len(world.control.slack_messages())
    clock.pass_time(AN_HOUR)
    process.relay.send_alerts()
    texts = [one["message"]["text"] for one in world.control.slack_messages()][before:]
    known = sorted(case["correlationId"] for case in world.database.cases.find())
    return [key for key in known for text in texts if code in text and key in text]


@pytest.mark.parametrize("institutions", [1, 2], ids=["the only one", "one of two"])
@pytest.mark.parametrize("way", WAYS)
def test_open_cases_of_a_deactivated_institution_are_alerted_once(
    way: str, institutions: int, world: World, clock: ShiftedClock
) -> None:
    org_id = asked(world, clock, institutions)
    WAYS[way](world, org_id)
    process = world.process(clock)
    for _ in range(2):
        read(process, reach_back=ALL)
    assert alerted(world, process, clock) == of(world, org_id)
    read(process)
    assert alerted(world, process, clock) == [], "not again at each poll"

    case = world.database.cases.find_one({"orgId": org_id})
    assert case is not None
    further = {**case, "_id": "further", "correlationId": "0198c0ff-ee00-7000-8000-000000000001"}
    del further["inactiveToldAt"]
    world.database.cases.insert_one(further)
    for _ in range(2):
        read(process)
    assert alerted(world, process, clock) == [further["correlationId"]]

    # Their deadlines pass like those of other cases.
    world.database.cases.update_many({"orgId": org_id}, {"$set": {"deadline": at_midnight(date(2026, 1, 2))}})
    for _ in range(2):
        read(process)
    assert alerted(world, process, clock, "case.deadline_passed") == of(world, org_id)
    read(process)
    assert alerted(world, process, clock, "case.deadline_passed") == []


def test_the_next_action_of_the_alert_works(world: World, clock: ShiftedClock) -> None:
    org_id = asked(world, clock)
    WAYS["aktiv is false"](world, org_id)
    process = world.process(clock)
    read(process)
    assert alerted(world, process, clock) == of(world, org_id)

    world.database.orgs.update_one({"orgId": org_id}, {"$set": {"aktiv": True}})
    again = world.process(clock)
    read(again, reach_back=ALL)
    assert world.database.cases.count_documents({"inactiveToldAt": {"$exists": True}}) == 0
    WAYS["begrunnelse is false"](world, org_id)
    once_more = world.process(clock)
    read(once_more)
    assert alerted(world, once_more, clock) == of(world, org_id), "taken out anew, told anew"

    world.database.environments.update_one({"orgId": org_id}, {"$set": {"begrunnelse": True}})
    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)
    world.carry(world.process(clock))
    check_everything(world, REQUESTS)


@pytest.mark.parametrize("state", CaseState)
def test_only_open_cases_are_alerted(state: CaseState, world: World, clock: ShiftedClock) -> None:
    org_id = asked(world, clock)
    world.database.cases.update_many({"orgId": org_id}, {"$set": {"state": state.value}})
    WAYS["aktiv is false"](world, org_id)
    process = world.process(clock)
    read(process)
    assert alerted(world, process, clock) == (of(world, org_id) if OPEN_OR_NOT[state] else [])


def test_no_alert_is_sent_while_all_are_active_or_from_an_old_configuration(world: World, clock: ShiftedClock) -> None:
    org_id = asked(world, clock)
    process = world.process(clock)
    read(process, reach_back=ALL)
    WAYS["aktiv is false"](world, org_id)
    stale = world.process(clock)
    assert len(stale.stores.institutions.active()) == 1
    world.database.orgs.update_one({"orgId": org_id}, {"$set": {"aktiv": True}})
    read(stale)
    assert alerted(world, stale, clock) == []


def test_one_of_two_exam_systems_is_deactivated(world: World, clock: ShiftedClock) -> None:
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
    assert alerted(world, process, clock) == wiseflow


@pytest.mark.parametrize("serves", ["test", "prod", ""])
def test_no_alert_is_sent_for_another_environment(serves: str, world: World, clock: ShiftedClock) -> None:
    org_id = asked(world, clock)
    WAYS["aktiv is false"](world, org_id)
    world.configure(environment=serves)
    process = world.process(clock)
    read(process)
    world.configure()
    everybody = world.process(clock)
    assert alerted(world, everybody, clock) == ([] if serves == "prod" else of(world, org_id))


def test_a_case_that_is_set_aside_has_its_own_alert(world: World, clock: ShiftedClock) -> None:
    org_id = asked(world, clock)
    world.database.cases.update_many({"orgId": org_id}, {"$set": {"setAside": "wiseflow.flow_missing"}})
    WAYS["aktiv is false"](world, org_id)
    process = world.process(clock)
    read(process)
    assert alerted(world, process, clock) == []


def test_many_cases_are_alerted_in_several_polls(
    world: World, clock: ShiftedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casebridge.exams.explanations.inactive_institutions.AT_ONCE", 2)
    org_id = asked(world, clock, 1)
    WAYS["aktiv is false"](world, org_id)
    process = world.process(clock)
    heard = []
    for _ in range(4):
        read(process)
        heard.append(alerted(world, process, clock))
    assert [len(keys) for keys in heard] == [2, 2, 2, 0]
    assert sorted(key for keys in heard for key in keys) == of(world, org_id)
