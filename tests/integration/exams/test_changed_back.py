"""A value that changes and changes back is a change like any other: its message gets a new key."""

from datetime import timedelta
from typing import Any

import pytest

from casebridge.exams.explanations.answer_poller import answer_message
from casebridge.exams.explanations.request_intake import QUEUE
from casebridge.fingerprint import short_hash
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from simulators.explanation_texts import compose
from tests.support.added_cases import add, case_of, codes, ours
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.world import World

ALL = timedelta(days=30)
NO_NAMES: dict[str, Any] = {"omit": ["brukernavn"], "externalIds": []}
SETTLED = Order(dry_run=False, reason="corrected in FS", asked_by="a test")
NOT_OF_5AEC059 = ("version", "versions", "revision")


@pytest.fixture
def process(world: World) -> Process:
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    return world.process()


def read(process: Process, *, reach_back: timedelta | None = None) -> int:
    report = read_requests(process, process.stores.institutions.active(), reach_back=reach_back)
    return report.accepted


def as_5aec059_left_it(world: World, added: dict[str, Any]) -> None:
    """The case as that commit would have stored it, with its key for each version of the case."""
    case = ours(world, added)
    keys = [{"_id": short_hash(QUEUE, case["_id"], version, None)} for version in case["versions"]]
    world.database.received_keys.delete_many({"queue": QUEUE, "correlationId": case["correlationId"]})
    world.database.received_keys.insert_many(keys)
    world.database.cases.update_one({"_id": case["_id"]}, {"$unset": dict.fromkeys(NOT_OF_5AEC059, "")})


def test_a_number_that_5aec059_saw_change_and_that_changes_back_asks_the_right_assessor(
    world: World, process: Process
) -> None:
    world.carry(process)
    world.control.assessors(paused=True)
    other = add(world, hold=True, **NO_NAMES)
    asked = add(world, examId=other["examId"], **NO_NAMES)
    world.send(process)
    right = ours(world, asked)["participantId"]
    world.control.change(asked["caseId"], raw={"kandidatnr": other["kandidatnr"]}, omit=["brukernavn"])
    world.send(process)
    assert ours(world, asked)["participantId"] == other["participantId"]
    as_5aec059_left_it(world, asked)
    world.control.change(asked["caseId"], raw={}, omit=["brukernavn"])
    world.control.assessors(paused=False)

    world.carry_until(process, lambda: case_of(world, asked)["state"] == "registered", "it is registered")

    assert ours(world, asked)["participantId"] == right
    assert (codes(process), world.control.summary()["wrong_text"]) == ({}, 0)


@pytest.mark.parametrize("field", ["kandidatnr", "kommisjonsId"])
def test_of_a_case_of_5aec059_each_change_is_one_message(field: str, world: World, process: Process) -> None:
    world.carry(process)
    world.control.assessors(paused=True)
    asked = add(world)
    world.send(process)
    world.control.change(asked["caseId"], raw={field: 7777})
    read(process)
    case = ours(world, asked)
    world.database.cases.update_one({"_id": case["_id"]}, {"$set": {field: 7777 if field == "kandidatnr" else "7777"}})
    as_5aec059_left_it(world, asked)

    seen = []
    for value in ({}, {}, {field: 7777}, {field: 7777}, {}):
        world.control.change(asked["caseId"], raw=value)
        seen.append(read(process))

    assert seen == [1, 0, 1, 0, 1]


def test_a_case_of_5aec059_that_did_not_change_is_not_asked_again(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    asked = add(world)
    world.send(process)
    as_5aec059_left_it(world, asked)
    assert (read(process, reach_back=ALL), "revision" in ours(world, asked)) == (0, True)


# Rows that cannot be read


def bad(world: World, added: dict[str, Any]) -> None:
    world.control.change(added["caseId"], raw={"frist": "31.02.2026"})


def good(world: World, added: dict[str, Any]) -> None:
    world.control.change(added["caseId"], raw={})


def removed(world: World, added: dict[str, Any]) -> None:
    world.control.withdraw(added["caseId"], how="removed")


@pytest.mark.parametrize("between", [good, removed], ids=["corrected", "removed"])
def test_a_row_that_is_unreadable_again_is_reported_each_time(between: Any, world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    asked = add(world)
    world.send(process)
    for _ in range(3):
        if between is removed:
            world.control.withdraw(asked["caseId"], how="reopened")
        bad(world, asked)
        world.send(process)
        read(process, reach_back=ALL)
        assert codes(process) == {"fs.row_unreadable": 1}, "once, while it is dead"
        between(world, asked)
        world.send(process)
        process.operators.dead_letters.discard(DeadLetterFilter(code="fs.row_unreadable"), SETTLED)
        assert codes(process) == {}
    assert world.database.messages.count_documents({"status": "discarded"}) == 3


def test_an_unreadable_row_is_reported_once_while_its_message_waits_or_is_dead(world: World, process: Process) -> None:
    asked = add(world)
    bad(world, asked)
    assert [read(process, reach_back=ALL) for _ in range(3)] == [2, 0, 0], "one beside the case of the population"
    world.send(process)
    assert read(process, reach_back=ALL) == 0
    process.operators.dead_letters.replay(DeadLetterFilter(), SETTLED)
    assert read(process, reach_back=ALL) == 0


# Answers


@pytest.fixture
def on_the_request(world: World, process: Process) -> Process:
    """An answer on the request itself, accepted without a date. The vendor's own example has `acceptDate: 0`."""
    world.control.modes(justification="justification")
    world.carry(process)
    return process


def poll_again(world: World, process: Process) -> None:
    poll_answers(process, process.stores.institutions.active(), also_answered=True)
    process.synchronisation.run_batch()


def undated(world: World, process: Process) -> None:
    """Answers without dates: two versions differ only in their text."""
    client = process.clients.exam_system(process.stores.institutions.active()[0]).client
    plain = client.explanations
    dates = {"accept_date": None, "assign_date": None}
    client.explanations = lambda flow_id: [row.model_copy(update=dates) for row in plain(flow_id)]


def test_an_answer_that_is_changed_back_is_registered_again(world: World, on_the_request: Process) -> None:
    process = on_the_request
    undated(world, process)
    (case,) = world.control.cases()
    first = compose(ours(world, case)["submissionId"], 1, seed=1)
    poll_again(world, process)
    for number, text in enumerate(("Ny begrunnelse.", first, "Ny begrunnelse.", first), 2):
        world.control.change_answer(case["explanationRequestId"], text)
        poll_again(world, process)
        poll_again(world, process)
        assert world.control.cases()[0]["registrations"] == number
    summary = world.control.summary()
    assert summary["stale_text"] == summary["wrong_text"] == summary["repeated_posts"] == 0


def test_a_changed_answer_is_fetched_once_however_often_it_is_polled(world: World, on_the_request: Process) -> None:
    process = on_the_request
    world.control.change_answer(world.control.cases()[0]["explanationRequestId"], "Ny begrunnelse.")
    for _ in range(3):
        poll_again(world, process)
    assert world.database.processed_messages.count_documents({"queue": "wiseflow-begrunnelse-svar"}) == 2


def test_an_answer_that_5aec059_registered_is_known_by_its_message(world: World, on_the_request: Process) -> None:
    process = on_the_request
    world.database.cases.update_many({}, {"$unset": {"registeredVersion": ""}})
    poll_again(world, process)
    assert world.database.processed_messages.count_documents({"queue": "wiseflow-begrunnelse-svar"}) == 1


def test_the_key_of_an_answer_names_the_registration_that_it_would_replace(world: World, process: Process) -> None:
    world.carry(process)
    (institution,) = process.stores.institutions.active()
    keys = set()
    for registration in ("one", "two", "three"):
        world.database.cases.update_many({}, {"$set": {"registeredBy": registration}})
        (case,) = process.capability(Explanations).cases.by_ids([ours(world, world.control.cases()[0])["_id"]])
        keys |= {answer_message(institution, case, marker).key for marker in ("a", "b")}
    assert len(keys) == 6
