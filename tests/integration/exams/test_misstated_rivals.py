"""FS misstates rows: an unreadable row, a hidden exam, an answer or a row of another exam. No claim on a text may be missed.

The simulators check the texts (`wrong_text`, `dispatched_to_wrong_participant`). They know nothing of casebridge.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.added_cases import codes
from tests.support.explanation_rounds import poll_answers
from tests.support.failures import check_nothing_is_lost, check_set_aside, dead_messages
from tests.support.rewriting_proxy import RewritingProxy
from tests.support.world import World

EXAM = re.compile(r"/begrunnelser/WISEFLOW/([^/]+)$")
SHARED = "identity.shared_participant"
BARE: dict[str, Any] = {"omit": ["brukernavn"], "externalIds": []}
"""Only the number can be compared."""


def populated(world: World) -> str:
    return str(world.populate(institutions=1, courses=1, requests=0, variety=False)["institutions"][0]["orgId"])


def state_of(world: World, added: dict[str, Any]) -> str:
    return next(case["state"] for case in world.control.cases() if case["caseId"] == added["caseId"])


def check_no_text_of_another_student(world: World) -> None:
    summary = world.control.summary()
    names = ("wrong_text", "dispatched_to_wrong_participant", "registered_twice", "registered_out_of_order")
    assert {name: summary[name] for name in names} == dict.fromkeys(names, 0)


@contextmanager
def rows_rewritten(world: World, rewrite_exam: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Iterator[None]:
    """FS with a changed answer for one exam."""

    def rewrite(method: str, path: str, body: bytes) -> bytes:
        found = EXAM.search(path)
        return json.dumps(rewrite_exam(found[1], json.loads(body))).encode() if method == "GET" and found else body

    with RewritingProxy(world.addresses["fs"], rewrite) as proxy:
        world.addresses = {**world.addresses, "fs": proxy.address}
        yield


@pytest.mark.parametrize(
    "misstated",
    [
        {"datoKlageMottat": "i går"},
        {"datoKlageMottat": None},
        {"frist": []},
        {"personlopenr": "x"},
        {"personlopenr": None, "kandidatnr": " 0{} "},
        {"kandidatnr": "{}", "kommisjonsId": {}},
    ],
    ids=str,
)
def test_an_unreadable_row_with_the_same_number_is_a_claim_on_the_participant(
    world: World, misstated: dict[str, Any]
) -> None:
    org_id = populated(world)
    right = world.control.add_request(org_id, **BARE)
    number = right["kandidatnr"]
    raw = {name: value.format(number) if isinstance(value, str) else value for name, value in misstated.items()}
    world.control.add_request(
        org_id, examId=right["examId"], raw={"kandidatnr": number, **raw}, expected="set_aside", **BARE
    )
    process = world.process()
    world.carry(process)
    assert codes(process)[SHARED] == 1
    check_set_aside(world, SHARED, "request_explanation")
    (shared,) = [one for one in dead_messages(world) if one["errors"][-1]["code"] == SHARED]
    assert "that of a row that cannot be read" in shared["errors"][-1]["cause"]
    assert world.control.summary()["registered"] == 0
    check_no_text_of_another_student(world)


def test_an_unreadable_row_that_came_after_the_dispatch_stops_the_answer(world: World) -> None:
    org_id = populated(world)
    world.control.assessors(paused=True)
    asked = world.control.add_request(org_id, expected="set_aside", **BARE)
    process = world.process()
    world.send(process)
    raw = {"kandidatnr": asked["kandidatnr"], "datoKlageMottat": "i går"}
    world.control.add_request(org_id, examId=asked["examId"], raw=raw, expected="set_aside", **BARE)
    world.control.assessors(paused=False)
    world.carry(process)
    assert (state_of(world, asked), codes(process)[SHARED]) == ("answered", 1)
    check_no_text_of_another_student(world)


@pytest.mark.parametrize("another", ["number", "evidence"])
def test_an_unreadable_row_of_another_person_is_no_claim(world: World, another: str) -> None:
    """An unreadable row affects nobody who has another number or other further evidence."""
    org_id = populated(world)
    good = world.control.add_request(org_id, **(BARE if another == "number" else {}))
    raw = {"datoKlageMottat": "i går"} | ({"kandidatnr": good["kandidatnr"]} if another == "evidence" else {})
    world.control.add_request(org_id, examId=good["examId"], raw=raw, expected="set_aside")
    process = world.process()
    world.carry(process)
    assert state_of(world, good) == "registered"
    assert SHARED not in codes(process)
    check_no_text_of_another_student(world)


@pytest.mark.parametrize(("status", "is_alerted"), [(403, True), (404, False)])
def test_only_an_exam_that_fs_does_not_know_gives_up_its_claim(world: World, status: int, is_alerted: bool) -> None:
    """Students of two exams have one participant: an error of WISEflow, or of one of the two rows."""
    org_id = populated(world)
    world.control.assessors(paused=True)
    first, second = (world.control.add_request(org_id, **BARE) for _ in range(2))
    process = world.process()
    world.send(process)
    ours, theirs = (world.database.cases.find_one({"personlopenr": one["personlopenr"]}) for one in (first, second))
    assert ours is not None
    assert theirs is not None
    world.database.cases.update_one(
        {"_id": theirs["_id"]}, {"$set": {name: ours[name] for name in ("flowId", "participantId")}}
    )
    world.control.faults(
        {"system": "fs", "kind": "status", "status": status, "path": f"begrunnelser/.*{second['examId']}"}
    )
    world.control.assessors(paused=False)
    world.control.wait("submitted", 2)
    poll_answers(process, process.stores.institutions.active())
    process.synchronisation.run_batch()
    assert (state_of(world, first) == "registered") is not is_alerted
    shared = [one for one in dead_messages(world) if one["errors"][-1]["code"] == SHARED]
    assert [one["correlationId"] for one in shared] == ([ours["correlationId"]] if is_alerted else [])


def test_a_wrong_answer_from_a_cache_withdraws_and_opens_no_case(world: World) -> None:
    answers: dict[str, dict[str, Any]] = {}
    wrong: dict[str, str] = {}

    def rewrite(exam_id: str, answer: dict[str, Any]) -> dict[str, Any]:
        answers[exam_id] = answer
        return answers[wrong[exam_id]] if exam_id in wrong else answer

    with rows_rewritten(world, rewrite):
        org_id = populated(world)
        world.control.assessors(paused=True)
        one, other = (world.control.add_request(org_id) for _ in range(2))
        process = world.process()
        world.send(process)
        wrong[one["examId"]] = other["examId"]
        added = world.control.add_request(org_id, examId=one["examId"])
        world.send(process)
        cases = list(world.database.cases.find())
        assert {case["personlopenr"]: case["state"] for case in cases} == {
            one["personlopenr"]: "dispatched",
            other["personlopenr"]: "dispatched",
        }
        wrong.clear()
        world.control.assessors(paused=False)
        wanted = {one["caseId"], other["caseId"], added["caseId"]}
        world.carry_until(
            process,
            lambda: {case["caseId"] for case in world.control.cases() if case["registrations"]} == wanted,
            "all are",
        )
        check_nothing_is_lost(world)
        check_no_text_of_another_student(world)


def test_a_later_row_of_another_exam_sends_the_text_to_no_other_exam(world: World) -> None:
    foreign: list[dict[str, Any]] = []

    def rewrite(exam_id: str, answer: dict[str, Any]) -> dict[str, Any]:
        rows = [one for one in foreign if one["asked"] == exam_id]
        return {**answer, "begrunnelser": [*answer["begrunnelser"], *rows]}

    with rows_rewritten(world, rewrite):
        org_id = populated(world)
        one, other = (world.control.add_request(org_id) for _ in range(2))
        mine = {name: one[name] for name in ("personlopenr", "kandidatnr")}
        foreign.append({**mine, "asked": one["examId"], "examId": other["examId"], "datoKlageMottat": "2099-01-01"})
        process = world.process()
        world.carry(process)
        assert {state_of(world, case) for case in (one, other)} == {"registered"}
        assert codes(process) == {"fs.row_unreadable": 1}
        check_no_text_of_another_student(world)
