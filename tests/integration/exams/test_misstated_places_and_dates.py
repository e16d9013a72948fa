"""WISEflow misstates a participant or the time of an answer. No text may go to another student or get a wrong day."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from tests.support.failures import check_set_aside, dead_messages
from tests.support.malformed_values import registered
from tests.support.rewriting_proxy import RewritingProxy
from tests.support.world import World

LIST = re.compile(r"/flows?/\d+/participants$")
ALONE = re.compile(r"/flows/\d+/participants/(\d+)$")
COMMENTS = re.compile(r"/assessors/submission-comments$")
REQUESTS = re.compile(r"/flow/\d+/explanation/request(/\d+)?$")
OSLO = ZoneInfo("Europe/Oslo")
Change = Callable[[dict[str, Any]], Any]


@contextmanager
def misstated(world: World, changes: dict[re.Pattern[str], Change]) -> Iterator[str]:
    """One institution whose WISEflow changes each row at these paths."""

    def rewrite(method: str, path: str, body: bytes) -> bytes:
        found = [change for pattern, change in changes.items() if pattern.search(path)]
        if method != "GET" or not found:
            return body
        answer = json.loads(body)
        rows = answer["data"] if isinstance(answer, dict) and "data" in answer else answer
        sent = [found[0](row) for row in rows] if isinstance(rows, list) else found[0](rows)
        return json.dumps({**answer, "data": sent} if rows is not answer else sent).encode()

    with RewritingProxy(world.addresses["wiseflow"], rewrite) as proxy:
        world.addresses = {**world.addresses, "wiseflow": proxy.address}
        population = world.populate(institutions=1, courses=1, requests=0, variety=False)
        yield str(population["institutions"][0]["orgId"])


@pytest.mark.parametrize("is_mended", [False, True])
def test_the_request_of_an_unreadable_participant_goes_to_no_other(world: World, is_mended: bool) -> None:
    """Both participants have the number. The right one also has the user name."""
    said: dict[int, dict[str, Any]] = {}
    with misstated(
        world, dict.fromkeys((LIST, ALONE), lambda row: {**row, **said.get(row["participantId"], {})})
    ) as org_id:
        asked = world.control.add_request(org_id, expected="registered" if is_mended else "set_aside")
        other = world.control.add_request(org_id, examId=asked["examId"], hold=True)
        bare = {"uniqueExamId": str(asked["kandidatnr"]), "user": {"externalIds": []}}
        said.update({other["participantId"]: bare, asked["participantId"]: {} if is_mended else {"userId": "x"}})
        process = world.process()
        world.carry(process)
        if is_mended:
            assert registered(world) == {asked["caseId"]}
        else:
            check_set_aside(world, "wiseflow.participant_ambiguous", "find_candidate")
            assert (
                f"{asked['participantId']} on flow {asked['flowId']}" in dead_messages(world)[0]["errors"][-1]["cause"]
            )
        summary = world.control.summary()
        assert summary["dispatched"] == int(is_mended)
        assert summary["wrong_text"] == summary["dispatched_to_wrong_participant"] == 0


def test_a_participant_that_becomes_unreadable_is_not_reported_as_gone(world: World) -> None:
    """Licences before 1.34 have only the list: one participant cannot be read alone."""
    bad: list[int] = []
    with misstated(world, {LIST: lambda row: {**row, "user": "x"} if row["participantId"] in bad else row}) as org_id:
        world.database.orgs.update_one({}, {"$set": {"wiseflow.participantsEndpoint": "old"}})
        world.control.assessors(paused=True)
        one = world.control.add_request(org_id)
        other = world.control.add_request(org_id, examId=one["examId"])
        process = world.process()
        world.send(process)
        bad.append(one["participantId"])
        world.control.assessors(paused=False)
        world.carry_until(process, lambda: len(dead_messages(world)) == 1, "it is set aside")
        check_set_aside(world, "wiseflow.participants_unreadable", "register_explanation")
        assert registered(world) == {other["caseId"]}
        bad.clear()
        process.operators.dead_letters.replay(
            DeadLetterFilter(), Order(dry_run=False, reason="it is mended", asked_by="test")
        )
        world.carry(process)
        assert registered(world) == {one["caseId"], other["caseId"]}
        assert world.control.summary()["wrong_text"] == 0


EPOCH, FUTURE = "1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


@pytest.mark.parametrize("justification", ["comment", "justification"])
@pytest.mark.parametrize(
    ("of_comment", "of_request"),
    [
        ({"updatedAt": EPOCH}, {"state": 2}),
        ({"updatedAt": EPOCH}, {"acceptDate": 0}),
        ({"updatedAt": EPOCH}, {"acceptDate": 1}),
        ({"updatedAt": "0001-01-01T00:00:00"}, {"acceptDate": 0}),
        ({"createdAt": FUTURE, "updatedAt": FUTURE}, {}),
        ({"updatedAt": FUTURE}, {"acceptDate": 4_070_908_800}),
    ],
)
def test_fs_gets_a_day_on_which_the_text_existed(
    world: World, of_comment: dict[str, Any], of_request: dict[str, Any], justification: str
) -> None:
    world.control.modes(justification=justification)
    changes: dict[re.Pattern[str], Change] = {
        COMMENTS: lambda row: {**row, **of_comment},
        REQUESTS: lambda row: {**row, **of_request} if row["state"] == 3 else row,
    }
    with misstated(world, changes) as org_id:
        world.database.orgs.update_one({}, {"$set": {"wiseflow.answerState": 2}})
        before = datetime.now(UTC)
        one = world.control.add_request(org_id)
        process = world.process()
        world.carry(process)
        assert registered(world) == {one["caseId"]}
        (institution,) = process.stores.institutions.active()
        (row,) = process.clients.student_registry(institution).explanation_rows(one["examId"])
        days = {moment.astimezone(OSLO).date().isoformat() for moment in (before, datetime.now(UTC))}
        assert row["datoVedtakFormidlet"] in days
        assert world.control.summary()["registered_too_early"] == 0
