"""A message waits for an answer that is not there (any more). It blocks neither a correction nor a withdrawal of its case."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from resources.wiring.process import Process
from tests.support.added_cases import add, case_of, codes, ours
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.rewriting_proxy import RewritingProxy
from tests.support.waiting import wait_until
from tests.support.world import World

ALL = timedelta(days=30)
NO_NAMES: dict[str, Any] = {"omit": ["brukernavn"], "externalIds": []}
LIST = re.compile(r"/flow/\d+/explanation/request$")
Rows = list[dict[str, Any]]
ANSWERS = "wiseflow-begrunnelse-svar"


class Lists:
    """Changes WISEflow's lists of explanation requests. A request that is read alone is not changed."""

    def __init__(self) -> None:
        self.shown: Callable[[Rows], Rows] = lambda rows: rows

    def rewrite(self, method: str, path: str, body: bytes) -> bytes:
        if method != "GET" or not LIST.search(path):
            return body
        return json.dumps(self.shown(json.loads(body))).encode()


def omitted(_rows: Rows) -> Rows:
    return []


def unreadable(rows: Rows) -> Rows:
    return [{**row, "requestDate": "someday"} for row in rows]


def accepted(rows: Rows) -> Rows:
    """The list as it was before each answer was unlocked."""
    return [{**row, "state": 3, "acceptDate": "2026-11-20T10:00:00Z"} for row in rows]


@pytest.fixture
def lists(world: World) -> Iterator[Lists]:
    lists = Lists()
    before = world.addresses
    with RewritingProxy(world.addresses["wiseflow"], lists.rewrite) as proxy:
        world.addresses = {**before, "wiseflow": proxy.address}
        yield lists
    world.addresses = before


@pytest.fixture
def process(world: World, lists: Lists) -> Process:
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    process = world.process()
    world.carry(process)
    world.control.assessors(paused=True)
    return process


def poll(process: Process, *, also_answered: bool = False) -> None:
    poll_answers(process, process.stores.institutions.active(), also_answered=also_answered)
    process.synchronisation.run_batch()


def read(process: Process) -> None:
    read_requests(process, process.stores.institutions.active(), reach_back=ALL)


def waiting(world: World) -> int:
    return world.database.messages.count_documents({"queue": ANSWERS})


SHOWN = pytest.mark.parametrize("shown", [omitted, unreadable, accepted], ids=lambda shown: shown.__name__)


@SHOWN
def test_the_right_assessor_is_asked_once_a_mistyped_number_is_corrected(
    shown: Callable[[Rows], Rows], world: World, lists: Lists, process: Process
) -> None:
    other = add(world, hold=True, **NO_NAMES)
    asked = add(world, examId=other["examId"], raw={"kandidatnr": other["kandidatnr"]}, **NO_NAMES)
    world.send(process)
    assert ours(world, asked)["participantId"] == other["participantId"]
    lists.shown = shown
    poll(process)
    lists.shown = lambda rows: rows
    world.control.change(asked["caseId"], raw={}, omit=["brukernavn"])
    read(process)

    def is_asked() -> bool:
        process.synchronisation.run_batch()
        return bool(ours(world, asked)["participantId"] != other["participantId"])

    wait_until(is_asked, "the right assessor is asked, though the wrong one never submits")
    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)
    world.carry_until(process, lambda: case_of(world, asked)["state"] == "registered", "it is registered")
    assert (codes(process), world.control.summary()["wrong_text"]) == ({}, 0)


@SHOWN
@pytest.mark.parametrize("how", ["removed", "finished"])
def test_a_case_that_fs_settled_is_withdrawn(
    how: str, shown: Callable[[Rows], Rows], world: World, lists: Lists, process: Process
) -> None:
    asked = add(world)
    world.send(process)
    lists.shown = shown
    poll(process)
    lists.shown = lambda rows: rows
    world.control.withdraw(asked["caseId"], how=how, text="Gitt muntlig.")

    def is_withdrawn() -> bool:
        read(process)
        process.synchronisation.run_batch()
        return bool(ours(world, asked)["state"] == "withdrawn")

    wait_until(is_withdrawn, "the case is withdrawn")
    assert (codes(process), waiting(world)) == ({}, 0)


@SHOWN
def test_an_answer_that_comes_after_all_is_registered(
    shown: Callable[[Rows], Rows], world: World, lists: Lists, process: Process
) -> None:
    asked = add(world)
    world.send(process)
    lists.shown = shown
    poll(process)
    assert waiting(world) == (1 if shown is accepted else 0), "only an answer that was there is waited for"
    lists.shown = lambda rows: rows
    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)

    def is_registered_and_all_is_handled() -> bool:
        # The unlocked answer is a second message. It may be handled after the first one has registered the answer.
        return bool(case_of(world, asked)["state"] == "registered") and not waiting(world)

    world.carry_until(process, is_registered_and_all_is_handled, "it is registered, and no message waits")
    assert (codes(process), case_of(world, asked)["registrations"]) == ({}, 1)


@pytest.mark.parametrize("shown", [omitted, unreadable], ids=lambda shown: shown.__name__)
def test_a_request_missing_from_the_list_is_read_once_an_hour(
    shown: Callable[[Rows], Rows], world: World, lists: Lists, process: Process
) -> None:
    asked = add(world)
    world.send(process)
    lists.shown = shown
    for _ in range(4):
        poll(process)
    done = world.database.processed_messages.count_documents(
        {"queue": ANSWERS, "orderingKey": ours(world, asked)["_id"]}
    )
    assert done in (2, 3), "the first, and one in each hour that these looks were in"
    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)
    world.control.wait("answered", 2)
    world.database.received_keys.delete_many({"queue": ANSWERS})  # an hour later
    world.database.processed_messages.delete_many({"queue": ANSWERS})
    world.carry_until(process, lambda: case_of(world, asked)["state"] == "registered", "it is registered")


def test_the_same_answer_submitted_again_after_a_removed_row_came_back_is_registered(
    world: World, lists: Lists, process: Process
) -> None:
    """The list shows the same row as before."""
    asked = add(world)
    world.send(process)
    lists.shown = accepted
    poll(process)
    world.control.withdraw(asked["caseId"], how="removed")

    def is_withdrawn() -> bool:
        read(process)
        process.synchronisation.run_batch()
        return bool(ours(world, asked)["state"] == "withdrawn")

    wait_until(is_withdrawn, "the case is withdrawn")
    world.control.withdraw(asked["caseId"], how="reopened")
    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)
    world.control.wait("answered", 2)
    world.carry_until(process, lambda: case_of(world, asked)["state"] == "registered", "it is registered")


def test_a_found_answer_costs_no_further_call(world: World, process: Process) -> None:
    asked = add(world)
    world.send(process)
    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)
    world.control.wait("answered", 2)
    poll_answers(process, process.stores.institutions.active())
    before = world.control.summary()["calls"]["fs"]
    process.synchronisation.run_batch()
    assert case_of(world, asked)["state"] == "registered"
    assert world.control.summary()["calls"]["fs"] - before == 2, "the row, and the registration"


def without_texts(rows: Rows) -> Rows:
    return [{name: value for name, value in row.items() if name != "justification"} for row in rows]


def undated(rows: Rows) -> Rows:
    return [{**row, "acceptDate": 0, "assignDate": 0} for row in without_texts(rows)]


@pytest.mark.parametrize("shown", [without_texts, undated], ids=lambda shown: shown.__name__)
def test_a_text_that_the_list_does_not_show_is_read_alone(
    shown: Callable[[Rows], Rows], world: World, lists: Lists, process: Process
) -> None:
    """In a reconciliation each request is read alone once: an unchanged answer is fetched at most once more."""
    world.control.modes(justification="justification")
    lists.shown = shown
    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)
    asked = add(world)
    world.carry(process)
    assert case_of(world, asked)["state"] == "registered"
    request = case_of(world, asked)["explanationRequestId"]
    for number, text in enumerate(("Ny begrunnelse.", "Enda en.", "Ny begrunnelse."), 2):
        world.control.change_answer(request, text)
        poll(process, also_answered=True)
        poll(process, also_answered=True)
        assert case_of(world, asked)["registrations"] == number
    done = world.database.processed_messages.count_documents({"queue": ANSWERS})
    poll(process, also_answered=True)
    assert world.database.processed_messages.count_documents({"queue": ANSWERS}) == done
    assert (codes(process), world.control.summary()["stale_text"]) == ({}, 0)


def test_a_list_that_shows_the_answers_costs_no_read_of_one_alone(world: World, process: Process) -> None:
    before = len(world.control.requests_log("wiseflow", limit=2000))
    poll_answers(process, process.stores.institutions.active(), also_answered=True)
    paths = [call["path"] for call in world.control.requests_log("wiseflow", limit=2000)[before:]]
    assert [path for path in paths if LIST.search(path)], "the list was read"
    assert not [path for path in paths if re.search(r"explanation/request/", path)]
