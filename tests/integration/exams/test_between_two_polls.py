"""Changes between two polls that are later changed back: nothing is lost, no student gets another's text, and alerts are sent."""

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
NO_NAMES: dict[str, Any] = {"omit": ["brukernavn"], "externalIds": []}


@pytest.fixture
def process(world: World) -> Process:
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    return world.process()


def replay(process: Process) -> None:
    process.operators.dead_letters.replay(
        DeadLetterFilter(), Order(dry_run=False, reason="as the alert says", asked_by="test")
    )


def read(process: Process, *, reach_back: timedelta | None = None) -> None:
    read_requests(process, process.stores.institutions.active(), reach_back=reach_back)


def answers(world: World, process: Process) -> None:
    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)
    world.control.wait("submitted", world.control.summary()["dispatched"])
    poll_answers(process, process.stores.institutions.active())


def check_no_text_of_another_student(world: World) -> None:
    summary = world.control.summary()
    names = ("wrong_text", "dispatched_to_wrong_participant", "registered_twice", "registered_out_of_order")
    assert {name: summary[name] for name in names} == dict.fromkeys(names, 0)


def test_a_row_that_is_removed_as_the_answer_comes_and_added_again(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    asked = add(world)
    world.send(process)
    answers(world, process)
    world.control.withdraw(asked["caseId"], how="removed")
    process.synchronisation.run_batch()
    assert ours(world, asked)["state"] == "withdrawn"
    world.control.withdraw(asked["caseId"], how="reopened")
    world.carry(process)
    assert case_of(world, asked)["state"] == "registered"
    check_no_text_of_another_student(world)


def test_a_number_mistyped_and_corrected_while_the_answer_is_registered(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    asked = add(world)
    world.send(process)
    answers(world, process)
    world.control.change(asked["caseId"], kandidatnr=asked["kandidatnr"] + 1)
    process.synchronisation.run_batch()
    world.control.change(asked["caseId"], kandidatnr=asked["kandidatnr"])
    world.carry_until(process, lambda: case_of(world, asked)["state"] == "registered", "it is registered")
    assert codes(process) == {}
    check_no_text_of_another_student(world)


def test_a_number_mistyped_and_corrected_while_the_assessor_is_asked(world: World, process: Process) -> None:
    asked = add(world)
    read(process)
    world.control.change(asked["caseId"], kandidatnr=asked["kandidatnr"] + 1)
    process.synchronisation.run_batch()
    world.control.change(asked["caseId"], kandidatnr=asked["kandidatnr"])
    world.carry_until(process, lambda: case_of(world, asked)["state"] == "registered", "it is registered")
    assert codes(process) == {}
    check_no_text_of_another_student(world)


def test_a_correction_that_was_read_before_the_answer_makes_no_dead_message(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    asked = add(world)
    world.send(process)
    answers(world, process)
    world.control.change(asked["caseId"], kandidatnr=4321, in_wiseflow=True)
    read(process)
    process.synchronisation.run_batch()
    assert codes(process) == {}
    world.carry(process)
    assert case_of(world, asked)["state"] == "registered"


def test_a_row_that_cannot_be_read_for_a_while_is_not_removed(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    asked = add(world)
    world.send(process)
    answers(world, process)
    world.control.change(asked["caseId"], raw={"frist": "31.02.2026"})
    process.synchronisation.run_batch()
    assert ours(world, asked)["state"] == "dispatched"
    world.control.change(asked["caseId"], raw={})
    world.carry_until(process, lambda: case_of(world, asked)["state"] == "registered", "it is registered")
    assert codes(process) == {}


def test_a_person_who_was_asked_about_by_a_mistyped_number_gets_nothing(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    right = add(world, hold=True, **NO_NAMES)
    wrong = add(
        world, examId=right["examId"], raw={"kandidatnr": right["kandidatnr"]}, expected="set_aside", **NO_NAMES
    )
    world.send(process)
    world.control.release()
    world.send(process)
    assert codes(process) == {"identity.shared_participant": 1}
    answers(world, process)
    process.synchronisation.run_batch()
    assert case_of(world, wrong)["state"] != "registered"
    assert codes(process) == {"identity.shared_participant": 2}
    world.control.withdraw(wrong["caseId"], how="removed")
    read(process)
    replay(process)
    world.carry(process)
    assert case_of(world, right)["state"] == "registered"
    check_no_text_of_another_student(world)


def test_two_rows_with_number_and_name_of_one_participant_match_nobody(world: World, process: Process) -> None:
    """Both rows agree with the participant in two pieces of evidence. FS itself says that they are two persons."""
    right = add(world, expected="set_aside", hold=True)
    name = next(
        row["brukernavn"]
        for row in world_rows(world, process, right["examId"], release=True)
        if row["personlopenr"] == right["personlopenr"]
    )
    feide = [{"name": "Feide", "value": f"{name}@{case_of(world, right)['orgId']}" if "@" not in name else name}]
    world.control.change(right["caseId"], externalIds=feide)
    add(
        world,
        examId=right["examId"],
        raw={"kandidatnr": right["kandidatnr"], "brukernavn": name},
        expected="set_aside",
    )
    world.carry(process)
    assert codes(process) == {"identity.shared_participant": 2}
    check_no_text_of_another_student(world)


def world_rows(world: World, process: Process, exam: str, *, release: bool) -> list[dict[str, Any]]:
    if release:
        world.control.release()
    return list(process.clients.student_registry(process.stores.institutions.active()[0]).explanation_rows(exam))


def test_a_swap_on_both_sides_of_bare_numbers_is_found_behind_a_kept_list(world: World, process: Process) -> None:
    """Only the number can be compared, and the kept list of participants has the old number."""
    first = add(world, **NO_NAMES)
    one = add(world, examId=first["examId"], hold=True, **NO_NAMES)
    two = add(world, examId=first["examId"], hold=True, **NO_NAMES)
    world.carry(process)
    world.control.change(one["caseId"], swapWith=two["caseId"], in_wiseflow=True)
    world.control.release()
    world.carry(process)
    assert codes(process) == {}
    assert {case_of(world, each)["state"] for each in (first, one, two)} == {"registered"}
    check_no_text_of_another_student(world)


def test_a_correction_in_the_exam_system_that_moves_the_number_is_followed_by_a_replay(
    world: World, process: Process
) -> None:
    """The next action of `identity.contradiction`: correct the exam system and replay."""
    one = add(world, hold=True)
    two = add(world, examId=one["examId"], hold=True)
    numbers = [one["kandidatnr"], two["kandidatnr"]]
    for each, number in ((one, numbers[1]), (two, numbers[0])):
        world.control.change(each["caseId"], uniqueExamId=str(number))
    world.control.release()
    world.carry(process)
    assert codes(process) == {"identity.contradiction": 2}
    for each, number in ((one, numbers[0]), (two, numbers[1])):
        world.control.change(each["caseId"], uniqueExamId=str(number))
    replay(process)
    world.carry(process)
    assert codes(process) == {}
    assert {case_of(world, each)["state"] for each in (one, two)} == {"registered"}
    check_no_text_of_another_student(world)


def test_a_group_formed_after_the_list_was_read_gets_no_shared_text(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    one = add(world)
    world.send(process)
    add(world, groupWith=one["caseId"])
    world.send(process)
    answers(world, process)
    process.synchronisation.run_batch()
    world.carry(process)
    assert set(codes(process)) == {"identity.group_text"}
    check_no_text_of_another_student(world)


def test_a_dead_message_with_another_participants_text_is_not_registered(world: World, process: Process) -> None:
    world.carry(process)
    world.control.modes(justification="justification")
    world.control.assessors(paused=True)
    other = add(world, hold=True, **NO_NAMES)
    asked = add(world, examId=other["examId"], raw={"kandidatnr": other["kandidatnr"]}, **NO_NAMES)
    world.send(process)
    answers(world, process)
    world.control.faults({"system": "fs", "method": "POST", "kind": "status", "status": 422})
    process.synchronisation.run_batch()
    assert codes(process) == {"fs.refused": 1}
    world.control.clear_faults()
    world.control.assessors(paused=True)
    world.control.change(asked["caseId"], raw={}, omit=["brukernavn"])
    world.send(process)
    replay(process)
    process.synchronisation.run_batch()
    check_no_text_of_another_student(world)
    world.control.assessors(paused=False)
    world.carry(process)
    assert case_of(world, asked)["state"] == "registered"
    check_no_text_of_another_student(world)


def test_a_registered_row_that_is_gone_is_alerted_once(world: World, process: Process) -> None:
    asked = add(world)
    world.carry(process)
    world.control.withdraw(asked["caseId"], how="removed")
    for _ in range(2):
        read(process, reach_back=ALL)
    (alert,) = world.database.alerts.find()
    assert (alert["code"], alert["correlationIds"]) == ("case.row_gone", [ours(world, asked)["correlationId"]])
    world.control.withdraw(asked["caseId"], how="reopened")
    world.carry(process)
    assert (case_of(world, asked)["state"], ours(world, asked)["state"]) == ("registered", "registered")
    assert "rowGoneToldAt" not in ours(world, asked)


def test_a_passed_deadline_of_a_paused_institution_is_alerted(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    add(world, datoKlageMottat="2026-10-01", frist="2026-10-15")
    read_requests(process, process.stores.institutions.active())
    world.database.cases.update_many({}, {"$unset": {"deadlineToldAt": ""}})
    world.database.alerts.delete_many({})
    world.control.credentials(process.stores.institutions.active()[0].org_id, "fs", valid=False)
    read(process)
    assert process.stores.pauses.all()
    world.database.cases.update_many({}, {"$unset": {"deadlineToldAt": ""}})
    world.database.alerts.delete_many({})
    read(process)
    assert world.database.alerts.count_documents({"code": "case.deadline_passed"}) >= 1


def test_a_deadline_that_moves_after_the_assessor_was_asked_is_alerted(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    asked = add(world)
    world.send(process)
    assert world.database.alerts.count_documents({}) == 0
    world.control.change(asked["caseId"], frist="2031-01-15")
    world.send(process)
    world.send(process)
    (alert,) = world.database.alerts.find()
    assert (alert["code"], alert["correlationIds"]) == ("case.deadline_moved", [ours(world, asked)["correlationId"]])
    assert alert["notes"] == {ours(world, asked)["correlationId"]: "now 2031-01-15"}
    (text,) = [one["message"]["text"] for one in world.control.slack_messages()]
    assert f"Cases: {ours(world, asked)['correlationId']} (now 2031-01-15)" in text


def test_a_replay_finds_a_person_who_is_another_participant_by_now(world: World, process: Process) -> None:
    """The next action of `wiseflow.participant_unknown`: a replay does not use what earlier attempts found."""
    world.carry(process)
    asked = add(world)
    read(process)
    world.control.faults(
        {"system": "wiseflow", "kind": "status", "status": 403, "method": "POST", "path": "explanation/request"}
    )
    process.synchronisation.run_batch()
    assert codes(process) == {"wiseflow.explanations_off": 1}
    world.control.clear_faults()
    right = case_of(world, asked)["participantId"]
    world.database.messages.update_one(
        {"status": "dead"}, {"$set": {"steps.find_candidate.result.participantId": right + 5000}}
    )
    replay(process)
    world.carry(process)
    assert (codes(process), case_of(world, asked)["state"]) == ({}, "registered")
    check_no_text_of_another_student(world)


def test_a_row_that_is_open_again_is_alerted(world: World, process: Process) -> None:
    asked = add(world)
    world.carry(process)
    codes_of_each_poll = []
    for _ in range(3):
        world.control.withdraw(asked["caseId"], how="reopened")
        for _ in range(2):
            read(process, reach_back=ALL)
        process.synchronisation.run_batch()
        assert case_of(world, asked)["state"] == "registered"
        codes_of_each_poll.append([alert["code"] for alert in world.database.alerts.find()])
    assert codes_of_each_poll == [[], ["case.open_once_more"], ["case.open_once_more"]]
    assert codes(process) == {}


def test_a_user_name_that_was_wrong_for_a_while_has_no_effect(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    asked = add(world)
    world.send(process)
    answers(world, process)
    world.control.change(asked["caseId"], brukernavn="feil.person")
    process.synchronisation.run_batch()
    world.carry_until(process, lambda: bool(codes(process)), "people are told")
    world.control.change(asked["caseId"], raw={})
    world.carry_until(process, lambda: case_of(world, asked)["state"] == "registered", "it is registered")
    replay(process)
    world.carry(process)
    assert codes(process) == {}
    check_no_text_of_another_student(world)


def test_the_text_of_a_participant_who_became_another_person_is_not_used(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    asked = add(world)
    other = add(world, examId=asked["examId"], hold=True)
    world.send(process)
    answers(world, process)
    world.control.change(
        asked["caseId"],
        uniqueExamId=str(other["kandidatnr"]),
        externalIds=[{"name": "FS", "value": str(other["personlopenr"])}],
    )
    process.synchronisation.run_batch()
    assert codes(process) == {"identity.contradiction": 1}
    assert case_of(world, asked)["state"] == "answered"


def test_passed_deadlines_are_alerted_in_each_state(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    old: dict[str, Any] = {"datoKlageMottat": "2026-10-01", "frist": "2026-10-15"}
    cases = [add(world, **old), add(world, oddity="no_candidate", **old)]
    world.send(process)
    world.control.faults({"system": "wiseflow", "kind": "status", "status": 503, "path": "sources/search|sis/flows"})
    cases.append(add(world, **old))
    for _ in range(3):
        world.send(process)
    (alert,) = world.database.alerts.find({"code": "case.deadline_passed"})
    assert sorted(alert["correlationIds"]) == sorted(ours(world, case)["correlationId"] for case in cases)
    assert alert["notes"] == dict.fromkeys(alert["correlationIds"], "deadline 2026-10-15")
