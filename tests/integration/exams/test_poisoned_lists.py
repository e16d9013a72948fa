"""WISEflow misstates a participant or a comment in the list of a flow. The others of the flow go on.

Each field that we read is sent with malformed values. Good requests are on the same flow.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from resources.wiseflow.records import Participant, SubmissionComment
from tests.support.failures import check_nothing_is_lost, dead_messages, reported_failures
from tests.support.malformed_values import WHOLE, as_sent, malformed_for, mutated, registered
from tests.support.rewriting_proxy import RewritingProxy
from tests.support.world import World

PARTICIPANTS = re.compile(r"/flows/\d+/participants$")
COMMENTS = re.compile(r"/flows/\d+/assessors/submission-comments$")
PERSON_FIELDS = (WHOLE, *(field.alias or name for name, field in Participant.model_fields.items()), "user.externalIds")
COMMENT_FIELDS = (WHOLE, *(field.alias or name for name, field in SubmissionComment.model_fields.items()))
PERSON_CODES = {
    "wiseflow.participant_missing", "wiseflow.participant_ambiguous", "wiseflow.participant_unknown", "wiseflow.answer_empty",
    "identity.contradiction", "identity.group_text",
}  # fmt: skip
COMMENT_CODES = {"wiseflow.comment_unreadable", "wiseflow.answer_empty"}


@contextmanager
def misstating(world: World, path: re.Pattern[str], field: str, key: str, poisons: dict[int, Any]) -> Iterator[None]:
    """WISEflow with malformed rows in this list: those whose `key` is in `poisons`."""

    def rewrite(method: str, where: str, body: bytes) -> bytes:
        if method != "GET" or not path.search(where):
            return body
        answer = json.loads(body)
        sent = [mutated(row, field, poisons[row[key]]) if row[key] in poisons else row for row in answer["data"]]
        return as_sent({**answer, "data": sent})

    with RewritingProxy(world.addresses["wiseflow"], rewrite) as proxy:
        world.addresses = {**world.addresses, "wiseflow": proxy.address}
        yield


def requests(world: World, number: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """This many requests to be misstated, and good ones on the same flow."""
    population = world.populate(institutions=1, courses=1, requests=0, variety=False)
    org_id = str(population["institutions"][0]["orgId"])
    bad = [world.control.add_request(org_id) for _ in range(number)]
    return bad, [world.control.add_request(org_id, examId=one["examId"]) for one in bad[::2]]


def ids(cases: list[dict[str, Any]]) -> set[int]:
    return {case["caseId"] for case in cases}


def submissions_of(world: World, cases: list[dict[str, Any]]) -> list[int]:
    known = {(one["flowId"], one["participantId"]): one["submissionId"] for one in world.database.cases.find()}
    return [known[one["flowId"], one["participantId"]] for one in cases]


@pytest.mark.parametrize("field", PERSON_FIELDS)
def test_a_misstated_participant_hides_no_other(field: str, world: World) -> None:
    poisons: dict[int, Any] = {}
    values = malformed_for(field, PERSON_FIELDS)
    with misstating(world, PARTICIPANTS, field, "participantId", poisons):
        bad, good = requests(world, len(values))
        poisons.update(zip((one["participantId"] for one in bad), values, strict=True))

        def is_settled() -> bool:
            return len(registered(world) | ids(good)) + len(dead_messages(world)) == len(bad) + len(good)

        process = world.process()
        world.carry_until(process, lambda: registered(world) >= ids(good) and is_settled(), "all are at their end")
        check_nothing_is_lost(world)
        assert {message["errors"][-1]["code"] for message in dead_messages(world)} <= PERSON_CODES


def test_the_error_of_a_missing_participant_names_an_unreadable_one(world: World) -> None:
    poisons: dict[int, Any] = {}
    with misstating(world, PARTICIPANTS, "user", "participantId", poisons):
        bad, _ = requests(world, 2)
        poisons[bad[0]["participantId"]] = "Kari Nordmann"
        world.carry_until(world.process(), lambda: len(dead_messages(world)) == 1, "it is set aside")
    (failure,) = dead_messages(world)[0]["errors"]
    assert failure["code"] == "wiseflow.participant_missing"
    assert f"1 cannot be read: {bad[0]['participantId']}" in failure["cause"]
    assert "Kari" not in str(failure)


@pytest.mark.parametrize("field", COMMENT_FIELDS)
def test_a_misstated_comment_hides_no_other(field: str, world: World) -> None:
    poisons: dict[int, Any] = {}
    # A text in place of the text is valid.
    values = [
        value for value in malformed_for(field, COMMENT_FIELDS) if not (field == "content" and isinstance(value, str))
    ]
    with misstating(world, COMMENTS, field, "containerId", poisons):
        bad, good = requests(world, len(values))
        process = world.process()
        world.send(process)
        world.control.wait("answered", len(bad) + len(good))
        submissions = submissions_of(world, bad)
        poisons.update(zip(submissions, values, strict=True))
        world.carry_until(process, lambda: registered(world) >= ids(good), "the good ones are registered")
        summary = world.control.summary()
        assert summary["wrong_text"] == summary["registered_twice"] == 0
        assert {message["errors"][-1]["code"] for message in dead_messages(world)} <= COMMENT_CODES


def test_a_comment_without_an_owner_is_reported_with_its_flow(world: World) -> None:
    poisons: dict[int, Any] = {}
    with misstating(world, COMMENTS, WHOLE, "containerId", poisons):
        bad, good = requests(world, 2)
        process = world.process()
        world.send(process)
        world.control.wait("answered", len(bad) + len(good))
        submissions = submissions_of(world, bad[:1])
        poisons[submissions[0]] = "Kari Nordmann"
        (institution,) = process.stores.institutions.active()
        (outcome,) = process.capability(Explanations).poller.poll([institution])
    assert outcome.error is not None
    assert outcome.error.code == "wiseflow.comment_unreadable"
    assert f"do not say on what they are, on flow {bad[0]['flowId']}" in outcome.error.cause
    assert "list of the flow's submission comments" in outcome.error.next_action
    assert "Kari" not in str(outcome.error)


@pytest.mark.parametrize("field", PERSON_FIELDS)
def test_a_participant_misstated_after_dispatch_stops_no_answer_of_another(field: str, world: World) -> None:
    """Nobody on these flows has a group. So a comment certainly belongs to its participant, whatever other rows say."""
    poisons: dict[int, Any] = {}
    values = malformed_for(field, PERSON_FIELDS)
    with misstating(world, PARTICIPANTS, field, "participantId", poisons):
        bad, good = requests(world, len(values))
        process = world.process()
        world.send(process)
        world.control.wait("answered", len(bad) + len(good))
        poisons.update(zip((one["participantId"] for one in bad), values, strict=True))

        def is_settled() -> bool:
            return len(registered(world)) + len(dead_messages(world)) == len(bad) + len(good)

        world.carry_until(process, is_settled, "all are at their end")
        assert registered(world) >= ids(good)
        check_nothing_is_lost(world)
        codes = {message["errors"][-1]["code"] for message in dead_messages(world)}
        # A participant without a submission has no comment.
        assert codes <= ({"wiseflow.answer_empty"} if field == "submissionId" else set())


def group(world: World) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two students who share a submission and have both asked. The assessors wait."""
    population = world.populate(institutions=1, courses=1, requests=0, variety=False)
    world.control.assessors(paused=True)
    org_id = str(population["institutions"][0]["orgId"])
    one = world.control.add_request(org_id, expected="set_aside")
    return one, world.control.add_request(org_id, groupWith=one["caseId"], expected="set_aside")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ("x", "wiseflow.participants_unreadable"),
        ({"user": "x", "groupId": {}, "submissionId": None}, "wiseflow.participants_unreadable"),
        ({"user": "x"}, "identity.group_text"),
        ({"user": "x", "groupId": None}, "identity.group_text"),
        ({"user": "x", "submissionId": []}, "identity.group_text"),
    ],
)
def test_an_unreadable_member_of_a_group_stops_the_text_of_the_other(changes: Any, code: str, world: World) -> None:
    misstated: list[int] = []

    def rewrite(method: str, where: str, body: bytes) -> bytes:
        if method != "GET" or not PARTICIPANTS.search(where):
            return body
        answer = json.loads(body)
        sent = [misstate(row) if row["participantId"] in misstated else row for row in answer["data"]]
        return as_sent({**answer, "data": sent})

    def misstate(row: dict[str, Any]) -> Any:
        return {**row, **changes} if isinstance(changes, dict) else changes

    with RewritingProxy(world.addresses["wiseflow"], rewrite) as proxy:
        world.addresses = {**world.addresses, "wiseflow": proxy.address}
        one, two = group(world)
        process = world.process()
        world.send(process)
        misstated.append(two["participantId"])
        world.control.assessors(paused=False)
        case = world.database.cases.find_one({"personlopenr": one["personlopenr"]}) or {}
        letters: list[dict[str, Any]] = []

        def is_set_aside() -> bool:
            letters[:] = [one for one in dead_messages(world) if one["correlationId"] == case["correlationId"]]
            return bool(letters)

        world.carry_until(process, is_set_aside, "the other's answer is set aside")
        assert [letter["errors"][-1]["code"] for letter in letters] == [code]
        assert reported_failures(world, code, correlationId=case["correlationId"])
        assert world.control.summary()["registered"] == 0


def test_a_correction_in_an_unreadable_comment_is_reported_and_registered_when_readable(world: World) -> None:
    poisons: dict[int, Any] = {}
    with misstating(world, COMMENTS, "content", "id", poisons):
        population = world.populate(institutions=1, courses=1, requests=0, variety=False)
        one = world.control.add_request(str(population["institutions"][0]["orgId"]))
        process = world.process()
        world.carry(process)
        (case,) = world.control.cases()
        (institution,) = process.stores.institutions.active()
        world.control.change_answer(case["explanationRequestId"], "En rettet begrunnelse")
        (newest,) = [row for row in comments(process, one["flowId"]) if "rettet" in (row.content or "")]
        poisons[newest.comment_id] = 7
        (outcome,) = process.capability(Explanations).poller.poll([institution], also_answered=True)
        assert outcome.error is not None
        assert outcome.error.code == "wiseflow.comment_unreadable"
        assert f"{case['explanationRequestId']} on flow {one['flowId']}" in outcome.error.cause
        assert world.database.alerts.count_documents({"code": "wiseflow.comment_unreadable"}) == 1
        assert process.synchronisation.run_batch().handled == 0
        assert world.control.cases()[0]["registrations"] == 1
        poisons.clear()
        world.synchronise(process, also_answered=True)
        assert world.control.cases()[0]["registrations"] == 2
        summary = world.control.summary()
        assert summary["wrong_text"] == summary["stale_text"] == 0


def comments(process: Process, flow_id: int) -> list[Any]:
    (institution,) = process.stores.institutions.active()
    return list(process.clients.exam_system(institution).client.submission_comments(flow_id))
