"""Changes after the work is done: answers, requests, and cases that FS finishes by hand. Each change is handled once."""

from typing import Any

import pytest

from casebridge.exams.explanations import answer_poller, request_reader
from resources.wiring.process import Process
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.world import World

PLAIN: dict[str, Any] = {"institutions": 1, "courses": 1, "requests": 2, "variety": False}
REQUESTS = 2


@pytest.fixture
def carried(world: World) -> Process:
    """Two requests, registered."""
    world.populate(**PLAIN)
    process = world.process()
    world.carry(process)
    check_everything(world, REQUESTS)
    return process


def case_number(world: World, place: int = 0) -> dict[str, Any]:
    return world.control.cases()[place]


def poll_again(world: World, process: Process) -> None:
    """Poll like the reconciliation, which also reads answered cases."""
    world.synchronise(process, also_answered=True)


def outcomes(world: World, case: dict[str, Any]) -> list[str]:
    """The outcome of each answer of the case, in order of time."""
    ours = world.database.cases.find_one({"personlopenr": case["personlopenr"], "vurdId": case["examId"]})
    assert ours is not None
    entries = world.audit(correlationId=ours["correlationId"], submodule=answer_poller.QUEUE, success=True)
    return [entry["detail"]["outcome"] for entry in entries if entry["detail"].get("outcome")]


@pytest.mark.parametrize("edit", [False, True], ids=["a new comment", "the old comment changed"])
def test_another_text_is_registered_again(edit: bool, world: World, carried: Process) -> None:
    case = case_number(world)
    world.control.change_answer(case["explanationRequestId"], "Ny begrunnelse.", edit=edit)

    poll_again(world, carried)
    poll_again(world, carried)

    assert outcomes(world, case) == ["registered", "registered"]
    assert case_number(world)["registrations"] == 2
    summary = world.control.summary()
    assert (summary["registrations"], summary["stale_text"]) == (REQUESTS + 1, 0)
    assert summary["registered_twice"] == summary["wrong_text"] == summary["repeated_posts"] == 0


def test_the_same_text_submitted_again_is_not(world: World, carried: Process) -> None:
    case = case_number(world)
    world.control.change_answer(case["explanationRequestId"], "Ny begrunnelse.")
    poll_again(world, carried)
    world.control.change_answer(case["explanationRequestId"], "Ny begrunnelse.")

    poll_again(world, carried)
    poll_again(world, carried)

    assert outcomes(world, case) == ["registered", "registered", "unchanged"]
    summary = world.control.summary()
    assert (summary["registrations"], summary["repeated_posts"]) == (REQUESTS + 1, 0)


def test_the_frequent_poll_finds_a_changed_answer_only_if_its_case_is_open(world: World, carried: Process) -> None:
    """The frequent poll reads only open cases, to save one call for each answered flow. The reconciliation reads all."""
    world.control.change_answer(case_number(world)["explanationRequestId"], "Ny begrunnelse.")

    world.synchronise(carried)
    assert world.control.summary()["stale_text"] == 1
    poll_again(world, carried)
    assert world.control.summary()["stale_text"] == 0


def test_an_answer_that_is_taken_back_meanwhile_waits_at_no_cost(world: World) -> None:
    """The answer is unlocked between poll and fetch. It is registered when it is submitted again, and no attempt is charged."""
    world.populate(**PLAIN)
    process = world.process()
    run, institutions = process.synchronisation, process.stores.institutions.active()
    world.send(process)
    world.control.wait("answered", REQUESTS)
    poll_answers(process, institutions)
    world.control.assessors(paused=True)
    case = case_number(world)
    world.control.change_answer(case["explanationRequestId"], "Rettet.", after_s=0.001)

    run.run_batch()

    (waiting,) = world.database.messages.find()
    assert (waiting["status"], waiting["attempts"]) == ("enqueued", 0)
    assert waiting["errors"][-1]["code"] == "wiseflow.answer_withdrawn"
    world.control.assessors(paused=False)
    world.carry_until(process, lambda: world.control.summary()["outstanding"] == 0, "the answer is registered")
    assert case_number(world)["registrations"] == 1
    assert world.control.summary()["wrong_text"] == world.control.summary()["stale_text"] == 0


def test_a_changed_deadline_is_sent_on_without_asking_a_second_time(world: World) -> None:
    world.populate(**PLAIN)
    world.control.assessors(minimum_delay_s=3600, maximum_delay_s=3600)
    process = world.process()
    run, institutions = process.synchronisation, process.stores.institutions.active()
    world.send(process)
    case = case_number(world)
    world.control.change(case["caseId"], frist="2031-01-15", kommisjonsId="7")

    assert read_requests(process, institutions).accepted == 1
    assert run.run_batch().by_status == {"processed": 1}
    assert read_requests(process, institutions).accepted == 0

    assert world.control.summary()["dispatched"] == REQUESTS
    (ours,) = world.database.cases.find({"personlopenr": case["personlopenr"]})
    assert (ours["state"], ours["kommisjonsId"]) == ("dispatched", "7")
    assert f"{ours['deadline']:%Y-%m-%d}" == "2031-01-15"
    asked = world.audit(correlationId=ours["correlationId"], step="request_explanation")
    assert [entry["detail"]["created"] for entry in asked] == [True, False]


def test_a_candidate_number_that_changes_in_fs_and_wiseflow_finds_its_candidate_again(
    world: World, carried: Process
) -> None:
    case = case_number(world)
    world.control.add_request(case["orgId"], hold=True)
    world.control.assessors(paused=True)
    world.control.release()
    world.send(carried)
    added = world.control.cases()[-1]
    world.control.change(added["caseId"], kandidatnr=9876, in_wiseflow=True)

    world.send(carried)
    world.control.assessors(paused=False)
    world.carry(carried)

    assert world.control.summary()["registered"] == REQUESTS + 1
    assert world.control.summary()["dispatched"] == REQUESTS + 1
    (ours,) = world.database.cases.find({"personlopenr": added["personlopenr"], "vurdId": added["examId"]})
    assert ours["kandidatnr"] == 9876


@pytest.mark.parametrize("when", ["before it is sent on", "before it is answered"])
def test_a_case_that_fs_finishes_by_hand_is_left_alone(when: str, world: World) -> None:
    world.populate(**PLAIN)
    world.control.assessors(paused=True)
    process = world.process()
    run, institutions = process.synchronisation, process.stores.institutions.active()
    read_requests(process, institutions)
    if when == "before it is answered":
        run.run_batch()
    withdrawn = case_number(world)
    world.control.withdraw(withdrawn["caseId"], how="finished", text="Gitt muntlig.")

    read_requests(process, institutions)
    world.control.assessors(paused=False)
    run.run_batch()
    world.carry(process)

    (ours,) = world.database.cases.find({"personlopenr": withdrawn["personlopenr"], "vurdId": withdrawn["examId"]})
    assert (ours["state"], ours["setAside"]) == ("withdrawn", None)
    summary = world.control.summary()
    assert (summary["registered"], summary["outstanding"]) == (REQUESTS - 1, 0)
    assert world.database.messages.count_documents({}) == 0
    assert not world.audit(success=False)
    assert summary["dispatched"] == (1 if when == "before it is sent on" else REQUESTS)


def test_a_case_that_fs_finishes_with_another_text_is_not_overwritten(world: World) -> None:
    """A person finished the case in FS after our last read. The registration is refused, and a person compares."""
    world.populate(**PLAIN)
    process = world.process()
    run, institutions = process.synchronisation, process.stores.institutions.active()
    world.send(process)
    world.control.wait("answered", REQUESTS)
    case = case_number(world)
    world.control.withdraw(case["caseId"], how="finished", text="Gitt muntlig.")

    poll_answers(process, institutions)
    run.run_batch()

    (dead,) = world.database.messages.find()
    assert (dead["status"], dead["errors"][-1]["code"]) == ("dead", "fs.finished_otherwise")
    assert world.control.summary()["registered"] == REQUESTS - 1


def test_a_change_in_fs_by_our_own_registration_is_not_a_new_request(world: World, carried: Process) -> None:
    before = world.database.processed_messages.count_documents({})

    for _ in range(2):
        again = read_requests(carried, carried.stores.institutions.active())
        assert (again.accepted, again.counts["finished"]) == (0, REQUESTS)
        assert carried.synchronisation.run_batch().handled == 0

    assert world.database.processed_messages.count_documents({}) == before
    assert {case["state"] for case in world.database.cases.find()} == {"registered"}
    assert len(world.audit(submodule=request_reader.QUEUE, step="received")) == REQUESTS
