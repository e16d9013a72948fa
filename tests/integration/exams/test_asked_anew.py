"""The participant of an answer is not the person of the row. Following the next action as written corrects that."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.wiring.process import Process
from tests.support.added_cases import add, case_of, codes, ours
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.world import World

ALL = timedelta(days=30)
CONTRADICTION = "identity.contradiction"
REQUESTS = "wiseflow-begrunnelse"
NAMES_OR_NOT = pytest.mark.parametrize(
    "evidence", [{}, {"omit": ["brukernavn"], "externalIds": []}], ids=["with names", "numbers only"]
)


@pytest.fixture
def process(world: World) -> Process:
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    process = world.process()
    world.carry(process)
    world.control.assessors(paused=True)
    return process


def replay(process: Process) -> None:
    process.operators.dead_letters.replay(
        DeadLetterFilter(), Order(dry_run=False, reason="as the alert says", asked_by="test")
    )


def answers(world: World, process: Process) -> None:
    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)
    world.control.wait("answered", world.control.summary()["dispatched"])
    poll_answers(process, process.stores.institutions.active())
    process.synchronisation.run_batch()


def registered(world: World, *cases: dict[str, Any]) -> Callable[[], bool]:
    return lambda: {case_of(world, case)["state"] for case in cases} == {"registered"}


def requests(world: World, case: dict[str, Any]) -> int:
    where = {"queue": REQUESTS, "orderingKey": ours(world, case)["_id"]}
    return world.database.messages.count_documents(where) + world.database.processed_messages.count_documents(where)


@NAMES_OR_NOT
def test_numbers_that_are_swapped_first_in_fs_and_later_in_wiseflow(
    evidence: dict[str, Any], world: World, process: Process
) -> None:
    """The old list of WISEflow moves both cases. Once WISEflow swaps too, both answers match nobody, and no correction helps."""
    one = add(world, **evidence)
    two = add(world, examId=one["examId"], **evidence)
    world.send(process)
    right = {case["caseId"]: ours(world, case)["participantId"] for case in (one, two)}
    world.control.change(one["caseId"], swapWith=two["caseId"])
    world.send(process)
    for case, other in ((one, two), (two, one)):
        world.control.change(case["caseId"], uniqueExamId=str(other["kandidatnr"]))
    answers(world, process)
    dead_codes = codes(process)
    assert dead_codes, "people are told"

    for _ in dead_codes:
        replay(process)
        world.carry(process)
    world.carry_until(process, registered(world, one, two), "both are registered")

    assert codes(process) == {}
    assert {case["caseId"]: ours(world, case)["participantId"] for case in (one, two)} == right
    assert world.control.summary()["wrong_text"] == 0


def other_number(world: World, case: dict[str, Any]) -> None:
    world.control.change(case["caseId"], uniqueExamId="99999")


def own_number(world: World, case: dict[str, Any]) -> None:
    world.control.change(case["caseId"], uniqueExamId=str(case["kandidatnr"]))


@NAMES_OR_NOT
def test_an_answer_that_was_contradicted_for_a_while_is_registered_by_a_replay(
    evidence: dict[str, Any], world: World, process: Process
) -> None:
    asked = add(world, **evidence)
    world.send(process)
    other_number(world, asked)
    answers(world, process)
    assert codes(process) == {CONTRADICTION: 1}
    own_number(world, asked)
    replay(process)
    world.carry_until(process, registered(world, asked), "it is registered")
    assert (codes(process), requests(world, asked)) == ({}, 1), "nobody was asked anew"


def test_a_replay_before_a_correction_asks_nobody_and_is_dead_again(world: World, process: Process) -> None:
    asked = add(world)
    world.send(process)
    other_number(world, asked)
    answers(world, process)
    before = world.control.summary()["dispatched"]
    for _ in range(3):
        replay(process)
        world.carry_until(
            process,
            lambda: codes(process) == {CONTRADICTION: 2},
            "the new request and the answer to the old one are set aside",
        )
    assert (requests(world, asked), world.control.summary()["dispatched"]) == (2, before)
    own_number(world, asked)
    replay(process)
    world.carry_until(process, registered(world, asked), "it is registered")
    assert codes(process) == {}


def test_a_replay_searches_again_for_a_participant_who_is_gone(world: World, process: Process) -> None:
    """The next action of `wiseflow.participant_unknown` for an answer."""
    asked = add(world)
    world.send(process)
    right = ours(world, asked)["participantId"]
    answer = world.control.faults
    answer({"system": "wiseflow", "kind": "status", "status": 404, "method": "GET", "path": f"participants/{right}$"})
    answers(world, process)
    assert codes(process) == {"wiseflow.participant_unknown": 1}
    world.control.clear_faults()
    replay(process)
    world.carry_until(process, registered(world, asked), "it is registered")
    assert codes(process) == {}


def test_a_replay_of_an_answer_whose_participant_is_another_asks_the_right_one(world: World, process: Process) -> None:
    """The case's participant does not exist any more. The person is there as another participant."""
    asked = add(world)
    world.send(process)
    case = ours(world, asked)
    world.database.cases.update_one({"_id": case["_id"]}, {"$set": {"participantId": case["participantId"] + 5000}})
    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)
    world.control.wait("answered", world.control.summary()["dispatched"])
    poll_answers(process, process.stores.institutions.active())
    process.synchronisation.run_batch()
    assert set(codes(process)) <= {"wiseflow.participant_mismatch", "wiseflow.participant_unknown"}
    replay(process)
    world.carry_until(process, registered(world, asked), "it is registered")
    assert (codes(process), ours(world, asked)["participantId"]) == ({}, case["participantId"])


def test_a_contradiction_is_superseded_only_while_a_request_is_on_its_way(world: World, process: Process) -> None:
    """The correction was read and no message of it waits. An alert is sent, and nothing is dropped."""
    asked = add(world)
    world.send(process)
    world.control.change(asked["caseId"], kandidatnr=4321)
    read_requests(process, process.stores.institutions.active())
    world.database.messages.delete_many({"queue": REQUESTS})
    answers(world, process)
    assert codes(process) == {CONTRADICTION: 1}


def test_a_finished_row_asks_nobody_again(world: World, process: Process) -> None:
    asked = add(world)
    world.send(process)
    answers(world, process)
    assert case_of(world, asked)["state"] == "registered"
    other_number(world, asked)
    world.control.change_answer(case_of(world, asked)["explanationRequestId"], "Ny begrunnelse.")
    world.synchronise(process, also_answered=True)
    assert codes(process) == {CONTRADICTION: 1}
    replay(process)
    world.carry(process)
    assert (codes(process), requests(world, asked)) == ({CONTRADICTION: 1}, 1)
