"""Whose text a student gets, from the row in FS to the text in FS: each way in which two systems can disagree about a person.

The simulators check the texts (`wrong_text`, `dispatched_to_wrong_participant`). They know nothing of casebridge.
"""

from datetime import timedelta
from typing import Any

import pytest

from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.wiring.process import Process
from tests.support.added_cases import codes
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.world import World

CONTRADICTION = "identity.contradiction"


@pytest.fixture
def process(world: World) -> Process:
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    return world.process()


def org(world: World) -> str:
    return str(world.control.cases()[0]["orgId"])


def add(world: World, **order: Any) -> dict[str, Any]:
    return world.control.add_request(org(world), **order)


def state_of(world: World, added: dict[str, Any]) -> str:
    return next(case["state"] for case in world.control.cases() if case["caseId"] == added["caseId"])


def replay(process: Process) -> None:
    process.operators.dead_letters.replay(
        DeadLetterFilter(), Order(dry_run=False, reason="as the alert says", asked_by="test")
    )


def check_no_text_of_another_student(world: World) -> None:
    summary = world.control.summary()
    names = ("wrong_text", "dispatched_to_wrong_participant", "registered_twice", "registered_out_of_order")
    assert {name: summary[name] for name in names} == dict.fromkeys(names, 0)


def test_only_the_owner_of_a_number_in_two_rows_is_answered(world: World, process: Process) -> None:
    right = add(world)
    wrong = add(world, examId=right["examId"], raw={"kandidatnr": right["kandidatnr"]}, expected="set_aside")
    world.carry(process)
    assert (state_of(world, right), state_of(world, wrong)) == ("registered", "visible")
    assert codes(process) == {CONTRADICTION: 1}
    check_no_text_of_another_student(world)


def test_numbers_that_are_swapped_in_fs_alone_stop_both_cases(world: World, process: Process) -> None:
    one = add(world, hold=True, expected="set_aside")
    two = add(world, hold=True, expected="set_aside", examId=one["examId"])
    world.control.change(one["caseId"], swapWith=two["caseId"])
    world.control.release()
    world.carry(process)
    assert codes(process) == {CONTRADICTION: 2}
    check_no_text_of_another_student(world)


def test_numbers_swapped_on_both_sides_after_the_list_was_read_mix_up_no_text(world: World, process: Process) -> None:
    """The list of participants is kept for minutes. It must not decide."""
    first = add(world)
    one = add(world, examId=first["examId"], hold=True)
    two = add(world, examId=first["examId"], hold=True)
    world.carry(process)
    for case, other in ((one, two), (two, one)):
        world.control.change(case["caseId"], kandidatnr=other["kandidatnr"], in_wiseflow=True)
    world.control.release()
    world.carry(process)
    assert {state_of(world, case) for case in (first, one, two)} == {"registered"}
    check_no_text_of_another_student(world)


def test_a_number_that_is_changed_and_changed_back_ends_with_its_own_text(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    asked = add(world)
    world.send(process)
    for number in (asked["kandidatnr"] + 1, asked["kandidatnr"]):
        world.control.change(asked["caseId"], kandidatnr=number)
        world.send(process)
    world.control.assessors(paused=False)
    world.carry(process)
    assert state_of(world, asked) == "registered"
    check_no_text_of_another_student(world)
    replay(process)
    world.carry(process)
    assert codes(process) == {}, "the message of the number that was mistaken ends as superseded"


def test_a_number_corrected_before_the_answer_came_is_registered_for_the_right_participant(
    world: World, process: Process
) -> None:
    """Only the number can be compared, because there are no user names. The fresh row decides."""
    world.control.assessors(paused=True)
    asked = add(world, omit=["brukernavn"], externalIds=[])
    world.send(process)
    other = add(world, examId=asked["examId"], hold=True, externalIds=[])
    world.control.change(asked["caseId"], kandidatnr=other["kandidatnr"], expected="set_aside")
    world.control.assessors(paused=False)
    world.control.wait("submitted", world.control.summary()["dispatched"])
    poll_answers(process, process.stores.institutions.active())
    process.synchronisation.run_batch()  # the answer for the old number, before the change was read
    assert state_of(world, asked) != "registered"


def test_one_participant_for_two_rows_is_not_used_until_one_row_is_gone(world: World, process: Process) -> None:
    """Only the number can be compared."""
    world.control.assessors(paused=True)
    right = add(world, omit=["brukernavn"], externalIds=[])
    world.send(process)
    wrong = add(
        world,
        examId=right["examId"],
        raw={"kandidatnr": right["kandidatnr"]},
        omit=["brukernavn"],
        externalIds=[],
        expected="set_aside",
    )
    world.send(process)
    assert codes(process) == {"identity.shared_participant": 1}
    world.control.withdraw(wrong["caseId"], how="removed")
    world.control.assessors(paused=False)
    world.carry(process)
    assert state_of(world, right) == "registered"
    check_no_text_of_another_student(world)


def test_two_students_who_share_a_submission_get_no_text_of_the_other(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    one = add(world)
    two = add(world, groupWith=one["caseId"])
    world.send(process)
    world.control.assessors(paused=False)
    world.carry(process)
    assert codes(process) == {"identity.group_text": 2}
    assert {state_of(world, one), state_of(world, two)} == {"answered"}
    check_no_text_of_another_student(world)


def test_no_assessor_is_asked_for_a_row_that_was_removed_before(world: World, process: Process) -> None:
    world.control.faults({"system": "wiseflow", "kind": "status", "status": 503, "path": "sources/search|sis/flows"})
    asked = add(world)
    world.send(process)
    world.control.withdraw(asked["caseId"], how="removed")
    world.control.clear_faults()
    world.carry_until(process, lambda: not process.operators.status.read().pending, "nothing is pending")
    assert next(case for case in world.control.cases() if case["caseId"] == asked["caseId"])["dispatchedAt"] is None
    assert codes(process) == {}


def test_a_registered_row_that_is_open_again_is_registered_again(world: World, process: Process) -> None:
    asked = add(world)
    world.carry(process)
    world.control.withdraw(asked["caseId"], how="reopened")
    reach_back = timedelta(days=14)
    read_requests(process, process.stores.institutions.active(), reach_back=reach_back)
    process.synchronisation.run_batch()
    assert state_of(world, asked) == "registered"
    assert codes(process) == {}


def test_a_request_that_vanished_from_the_exam_system_is_set_aside_by_name(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    asked = add(world)
    world.send(process)
    request = next(case for case in world.control.cases() if case["caseId"] == asked["caseId"])["explanationRequestId"]
    world.database.cases.update_one(
        {"explanationRequestId": request}, {"$set": {"explanationRequestId": request + 500}}
    )
    poll_answers(process, process.stores.institutions.active())
    process.synchronisation.run_batch()
    (letter,) = process.operators.dead_letters.find(DeadLetterFilter(), 20).letters
    case = world.database.cases.find_one({"explanationRequestId": request + 500}) or {}
    assert (letter.code, letter.correlation_id) == ("wiseflow.explanation_unknown", case["correlationId"])
