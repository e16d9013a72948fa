"""The participant of an answer is not the person of the row: the next action, followed as it is written, mends it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.wiring.bridge import Bridge
from tests.support.added_cases import add, case_of, codes, ours
from tests.support.world import World

ALL = timedelta(days=30)
CONTRADICTION = "identity.contradiction"
REQUESTS = "wiseflow-begrunnelse"
NAMES_OR_NOT = pytest.mark.parametrize(
    "evidence", [{}, {"omit": ["brukernavn"], "externalIds": []}], ids=["with names", "numbers only"]
)


@pytest.fixture
def bridge(world: World) -> Bridge:
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    bridge = world.bridge()
    world.carry(bridge)
    world.control.assessors(paused=True)
    return bridge


def replay(bridge: Bridge) -> None:
    bridge.dead_letters.replay(DeadLetterFilter(), Order(dry_run=False, reason="as the alert says", asked_by="test"))


def answers(world: World, bridge: Bridge) -> None:
    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)
    world.control.wait("answered", world.control.summary()["dispatched"])
    bridge.synchronisation.poll_answers(bridge.institutions.active())
    bridge.synchronisation.run_batch()


def registered(world: World, *cases: dict[str, Any]) -> Callable[[], bool]:
    return lambda: {case_of(world, case)["state"] for case in cases} == {"registered"}


def requests(world: World, case: dict[str, Any]) -> int:
    where = {"queue": REQUESTS, "orderingKey": ours(world, case)["_id"]}
    return world.database.messages.count_documents(where) + world.database.processed_messages.count_documents(where)


@NAMES_OR_NOT
def test_numbers_that_fs_swaps_by_day_and_wiseflow_by_night(
    evidence: dict[str, Any], world: World, bridge: Bridge
) -> None:
    """Both cases move by WISEflow's old list; once it swaps too, both answers are nobody's, and nothing is left to correct."""
    one = add(world, **evidence)
    two = add(world, examId=one["examId"], **evidence)
    world.send(bridge)
    right = {case["caseId"]: ours(world, case)["participantId"] for case in (one, two)}
    world.control.change(one["caseId"], swapWith=two["caseId"])
    world.send(bridge)
    for case, other in ((one, two), (two, one)):
        world.control.change(case["caseId"], uniqueExamId=str(other["kandidatnr"]))
    answers(world, bridge)
    told = codes(bridge)
    assert told, "people are told"

    for _ in told:
        replay(bridge)
        world.carry(bridge)
    world.carry_until(bridge, registered(world, one, two), "both are registered")

    assert codes(bridge) == {}
    assert {case["caseId"]: ours(world, case)["participantId"] for case in (one, two)} == right
    assert world.control.summary()["wrong_text"] == 0


def other_number(world: World, case: dict[str, Any]) -> None:
    world.control.change(case["caseId"], uniqueExamId="99999")


def own_number(world: World, case: dict[str, Any]) -> None:
    world.control.change(case["caseId"], uniqueExamId=str(case["kandidatnr"]))


@NAMES_OR_NOT
def test_an_answer_that_was_contradicted_for_a_while_is_registered_by_a_replay(
    evidence: dict[str, Any], world: World, bridge: Bridge
) -> None:
    asked = add(world, **evidence)
    world.send(bridge)
    other_number(world, asked)
    answers(world, bridge)
    assert codes(bridge) == {CONTRADICTION: 1}
    own_number(world, asked)
    replay(bridge)
    world.carry_until(bridge, registered(world, asked), "it is registered")
    assert (codes(bridge), requests(world, asked)) == ({}, 1), "nobody was asked anew"


def test_a_replay_before_anything_was_corrected_asks_nobody_and_tells(world: World, bridge: Bridge) -> None:
    asked = add(world)
    world.send(bridge)
    other_number(world, asked)
    answers(world, bridge)
    before = world.control.summary()["dispatched"]
    for _ in range(3):
        replay(bridge)
        world.carry_until(
            bridge,
            lambda: codes(bridge) == {CONTRADICTION: 2},
            "the new request and the answer to the old one are set aside",
        )
    assert (requests(world, asked), world.control.summary()["dispatched"]) == (2, before)
    own_number(world, asked)
    replay(bridge)
    world.carry_until(bridge, registered(world, asked), "it is registered")
    assert codes(bridge) == {}


def test_a_participant_who_is_gone_is_looked_for_anew_by_a_replay(world: World, bridge: Bridge) -> None:
    """The next action of `wiseflow.participant_unknown` at the answer."""
    asked = add(world)
    world.send(bridge)
    right = ours(world, asked)["participantId"]
    answer = world.control.faults
    answer({"system": "wiseflow", "kind": "status", "status": 404, "method": "GET", "path": f"participants/{right}$"})
    answers(world, bridge)
    assert codes(bridge) == {"wiseflow.participant_unknown": 1}
    world.control.clear_faults()
    replay(bridge)
    world.carry_until(bridge, registered(world, asked), "it is registered")
    assert codes(bridge) == {}


def test_a_replay_of_an_answer_whose_participant_is_another_asks_the_right_one(world: World, bridge: Bridge) -> None:
    """The participant that the case had is not there any more; the person is, as another participant."""
    asked = add(world)
    world.send(bridge)
    case = ours(world, asked)
    world.database.cases.update_one({"_id": case["_id"]}, {"$set": {"participantId": case["participantId"] + 5000}})
    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)
    world.control.wait("answered", world.control.summary()["dispatched"])
    bridge.synchronisation.poll_answers(bridge.institutions.active())
    bridge.synchronisation.run_batch()
    assert set(codes(bridge)) <= {"wiseflow.participant_mismatch", "wiseflow.participant_unknown"}
    replay(bridge)
    world.carry_until(bridge, registered(world, asked), "it is registered")
    assert (codes(bridge), ours(world, asked)["participantId"]) == ({}, case["participantId"])


def test_a_contradiction_is_superseded_only_while_a_request_is_on_its_way(world: World, bridge: Bridge) -> None:
    """The correction counts as read and as known, and no message of it waits: people are told, and nothing is dropped."""
    asked = add(world)
    world.send(bridge)
    world.control.change(asked["caseId"], kandidatnr=4321)
    bridge.synchronisation.read_requests(bridge.institutions.active())
    world.database.messages.delete_many({"queue": REQUESTS})
    answers(world, bridge)
    assert codes(bridge) == {CONTRADICTION: 1}


def test_of_a_finished_row_nobody_is_asked_anew(world: World, bridge: Bridge) -> None:
    asked = add(world)
    world.send(bridge)
    answers(world, bridge)
    assert case_of(world, asked)["state"] == "registered"
    other_number(world, asked)
    world.control.change_answer(case_of(world, asked)["explanationRequestId"], "Ny begrunnelse.")
    world.synchronise(bridge, also_answered=True)
    assert codes(bridge) == {CONTRADICTION: 1}
    replay(bridge)
    world.carry(bridge)
    assert (codes(bridge), requests(world, asked)) == ({CONTRADICTION: 1}, 1)
