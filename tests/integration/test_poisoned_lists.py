"""A participant or a comment that WISEflow misstates in the list of a flow: the others of the flow go on.

Each field that we read is sent in every odd form. Good requests stand on the same flow.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from casebridge.exams.wiseflow_records import Participant, SubmissionComment
from tests.failures import check_nothing_is_lost, dead_messages
from tests.poison import ODD, WHOLE, as_sent, poisoned, registered
from tests.rewriting_proxy import RewritingProxy
from tests.world import World

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
def poisoning(world: World, path: re.Pattern[str], field: str, key: str, poisons: dict[int, Any]) -> Iterator[None]:
    """WISEflow with the rows of this list misstated whose `key` is in `poisons`."""

    def rewrite(method: str, where: str, body: bytes) -> bytes:
        if method != "GET" or not path.search(where):
            return body
        answer = json.loads(body)
        sent = [poisoned(row, field, poisons[row[key]]) if row[key] in poisons else row for row in answer["data"]]
        return as_sent({**answer, "data": sent})

    with RewritingProxy(world.addresses["wiseflow"], rewrite) as proxy:
        world.addresses = {**world.addresses, "wiseflow": proxy.address}
        yield


def requests(world: World) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One to be misstated for each odd value, and good ones on the same flow."""
    population = world.populate(institutions=1, courses=1, requests=0, variety=False)
    org_id = str(population["institutions"][0]["orgId"])
    bad = [world.control.add_request(org_id) for _ in ODD]
    return bad, [world.control.add_request(org_id, examId=one["examId"]) for one in bad[::4]]


def ids(cases: list[dict[str, Any]]) -> set[int]:
    return {case["caseId"] for case in cases}


def submissions_of(world: World, cases: list[dict[str, Any]]) -> list[int]:
    known = {(one["flowId"], one["participantId"]): one["submissionId"] for one in world.database.cases.find()}
    return [known[one["flowId"], one["participantId"]] for one in cases]


@pytest.mark.parametrize("field", PERSON_FIELDS)
def test_a_misstated_participant_hides_no_other(field: str, world: World) -> None:
    poisons: dict[int, Any] = {}
    with poisoning(world, PARTICIPANTS, field, "participantId", poisons):
        bad, good = requests(world)
        poisons.update(zip((one["participantId"] for one in bad), ODD, strict=True))

        def is_settled() -> bool:
            return len(registered(world) | ids(good)) + len(dead_messages(world)) == len(bad) + len(good)

        bridge = world.bridge()
        world.carry_until(bridge, lambda: registered(world) >= ids(good) and is_settled(), "all are at their end")
        check_nothing_is_lost(world)
        assert {message["errors"][-1]["code"] for message in dead_messages(world)} <= PERSON_CODES


def test_whoever_cannot_be_found_is_told_that_a_participant_cannot_be_read(world: World) -> None:
    poisons: dict[int, Any] = {}
    with poisoning(world, PARTICIPANTS, "user", "participantId", poisons):
        bad, _ = requests(world)
        poisons[bad[0]["participantId"]] = "Kari Nordmann"
        world.carry_until(world.bridge(), lambda: len(dead_messages(world)) == 1, "it is set aside")
    (failure,) = dead_messages(world)[0]["errors"]
    assert failure["code"] == "wiseflow.participant_missing"
    assert f"1 cannot be read: {bad[0]['participantId']}" in failure["cause"]
    assert "Kari" not in str(failure)


@pytest.mark.parametrize("field", COMMENT_FIELDS)
def test_a_misstated_comment_hides_no_other(field: str, world: World) -> None:
    poisons: dict[int, Any] = {}
    with poisoning(world, COMMENTS, field, "containerId", poisons):
        bad, good = requests(world)
        bridge = world.bridge()
        world.send(bridge)
        world.control.wait("answered", len(bad) + len(good))
        submissions = submissions_of(world, bad)
        # In place of the text a text stands for itself.
        values = [value for value in ODD if not (field == "content" and isinstance(value, str))]
        poisons.update(zip(submissions, values, strict=False))
        world.carry_until(bridge, lambda: registered(world) >= ids(good), "the good ones are registered")
        summary = world.control.summary()
        assert summary["wrong_text"] == summary["registered_twice"] == 0
        assert {message["errors"][-1]["code"] for message in dead_messages(world)} <= COMMENT_CODES


def test_a_comment_that_does_not_say_whose_it_is_is_told_with_its_flow(world: World) -> None:
    poisons: dict[int, Any] = {}
    with poisoning(world, COMMENTS, WHOLE, "containerId", poisons):
        bad, good = requests(world)
        bridge = world.bridge()
        world.send(bridge)
        world.control.wait("answered", len(bad) + len(good))
        submissions = submissions_of(world, bad[:1])
        poisons[submissions[0]] = "Kari Nordmann"
        (institution,) = bridge.institutions.active()
        (outcome,) = bridge.poller.poll([institution])
    assert outcome.error is not None
    assert outcome.error.code == "wiseflow.request_unreadable"
    assert f"flow {bad[0]['flowId']}" in outcome.error.cause
    assert "Kari" not in str(outcome.error)
