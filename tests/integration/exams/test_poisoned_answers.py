"""WISEflow misstates a flow or an explanation request among good ones. The good ones go on, and the bad one is reported.

Each field of an explanation request is sent with malformed values, in the list of its flow and where the request is read alone.
Good requests are on the same flow.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from casebridge.sources.watermarks import ANSWERS, Watermarks
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from resources.wiseflow.records import EXPLANATION_FIELDS
from tests.support.failures import check_nothing_is_lost, dead_messages, reported_failures
from tests.support.malformed_values import DEEP, DIGITS, WHOLE, as_sent, malformed_for, mutated, registered
from tests.support.rewriting_proxy import RewritingProxy
from tests.support.world import World

LIST = re.compile(r"/flow/(\d+)/explanation/request")
ALONE = re.compile(r"/flow/(\d+)/explanation/request/\d+")
INSIDE = ("participant.participantId", "assignedAssessor.assessorId", "assignedAssessor.user", "justification.text")
FIELDS = (WHOLE, *EXPLANATION_FIELDS, *INSIDE)
CODES = {
    "wiseflow.shape_unknown", "wiseflow.body_not_json", "wiseflow.answer_empty", "wiseflow.participant_mismatch",
}  # fmt: skip
Poisons = dict[tuple[int, int], Any]
"""The malformed value of the field, by flow and participant."""


def is_a_text(value: Any) -> bool:
    """Whether FS accepts the value as a text."""
    return isinstance(value, str) and value not in ("", "\ud800", DEEP, DIGITS)


@contextmanager
def misstating(world: World, field: str, poisons: Poisons, *, alone: bool) -> Iterator[None]:
    """WISEflow with malformed requests. With `alone` a request is also malformed where it is read by itself."""

    def rewrite(method: str, path: str, body: bytes) -> bytes:
        is_list, is_alone = bool(LIST.search(path)) and not ALONE.search(path), bool(ALONE.search(path))
        if method != "GET" or not (is_list or (is_alone and alone)):
            return body
        rows = json.loads(body) if is_list else [json.loads(body)]
        sent = [
            mutated(row, field, poisons[key])
            if (key := (row["flowId"], row["participant"]["participantId"])) in poisons
            else row
            for row in rows
        ]
        return as_sent(sent if is_list else sent[0])

    with RewritingProxy(world.addresses["wiseflow"], rewrite) as proxy:
        world.addresses = {**world.addresses, "wiseflow": proxy.address}
        yield


def install(world: World) -> str:
    population = world.populate(institutions=1, courses=1, requests=0, variety=False)
    return str(population["institutions"][0]["orgId"])


def feed(world: World, org_id: str, poisons: Poisons, values: Sequence[Any]) -> tuple[list[int], list[int]]:
    """Adds a request for each malformed value, and good ones between them on the flow. Returns their case ids."""
    bad, good = [], []
    for number, value in enumerate(values):
        one = world.control.add_request(org_id)
        poisons[one["flowId"], one["participantId"]] = value
        bad.append(one["caseId"])
        if number % 2 == 0:
            good.append(world.control.add_request(org_id, examId=one["examId"])["caseId"])
    return bad, good


def institution_and_marks(process: Process) -> tuple[Any, Watermarks]:
    (institution,) = process.stores.institutions.active()
    return institution, Watermarks(process.stores.database, process.stores.clock, ANSWERS)


@pytest.mark.parametrize("field", FIELDS)
def test_a_misstated_request_is_set_aside_and_alerted_and_others_go_on(field: str, world: World) -> None:
    if field.startswith("justification"):
        world.control.modes(justification="justification")
    poisons: Poisons = {}
    values = malformed_for(field, FIELDS)
    with misstating(world, field, poisons, alone=True):
        org_id = install(world)
        bad, good = feed(world, org_id, poisons, values)
        process = world.process()

        def is_settled() -> bool:
            """Each malformed request is registered all the same, set aside, or reported by each poll."""
            open_cases = world.database.cases.count_documents({"state": "dispatched", "setAside": None})
            unknown = world.database.alerts.count_documents({"code": "wiseflow.state_unknown"})
            return registered(world) >= set(good) and (open_cases == 0 or (field == "state" and bool(unknown)))

        world.carry_until(process, is_settled, "all are at their end")
        summary = world.control.summary()
        assert summary["registered_twice"] == summary["registered_out_of_order"] == 0
        # A text in place of the text is valid.
        assert summary["wrong_text"] == (sum(map(is_a_text, values)) if field == "justification.text" else 0)
        dead = dead_messages(world)
        if field == "justification.text":
            assert summary["requests"] == summary["registered"] + len(dead)
        elif field != "state":
            check_nothing_is_lost(world)
            assert len(registered(world) & set(bad)) + len(dead) == len(bad)
        for message in dead:
            failure = message["errors"][-1]
            assert failure["code"] in CODES
            assert failure["nextAction"]
            assert reported_failures(world, failure["code"], correlationId=message["correlationId"])
        alerted_cases = {
            key for alert in world.database.alerts.find({"setAside": True}) for key in alert["correlationIds"]
        }
        assert alerted_cases >= {message["correlationId"] for message in dead}
        institution, marks = institution_and_marks(process)
        outcome = process.capability(Explanations).poller.poll([institution])[0]
        assert outcome.error is None or outcome.error.code in {"wiseflow.request_unreadable", "wiseflow.state_unknown"}
        assert outcome.error is not None or marks.get(institution).failures == 0


@pytest.mark.parametrize("field", FIELDS)
def test_a_request_that_only_the_list_misstates_is_read_alone_and_handled(field: str, world: World) -> None:
    poisons: Poisons = {}
    with misstating(world, field, poisons, alone=False):
        bad, good = feed(world, install(world), poisons, malformed_for(field, FIELDS))
        process = world.process()
        world.send(process)
        world.control.wait("answered", len(bad) + len(good))
        is_told_only = field == "state"
        wanted = set(good) if is_told_only else {*good, *bad}
        world.carry_until(process, lambda: registered(world) >= wanted, "all are registered")

        assert dead_messages(world) == []
        summary = world.control.summary()
        assert summary["wrong_text"] == summary["registered_twice"] == 0
        poisons.clear()
        world.carry_until(process, lambda: registered(world) == {*good, *bad}, "the list is right again")


def test_a_corrected_request_goes_on_by_itself(world: World) -> None:
    poisons: Poisons = {}
    with misstating(world, "requestDate", poisons, alone=True):
        org_id = install(world)
        one = world.control.add_request(org_id)
        poisons[one["flowId"], one["participantId"]] = "some day"
        process = world.process()
        world.carry_until(process, lambda: len(dead_messages(world)) == 1, "it is set aside")
        for _ in range(3):
            world.synchronise(process)
        assert len(dead_messages(world)) == 1, "once for the same row"

        poisons.clear()
        world.carry_until(process, lambda: registered(world) == {one["caseId"]}, "it is registered")


def test_a_request_without_an_id_is_reported_with_its_flow(world: World) -> None:
    poisons: Poisons = {}
    with misstating(world, "explanationId", poisons, alone=False):
        org_id = install(world)
        one = world.control.add_request(org_id)
        poisons[one["flowId"], one["participantId"]] = {}
        world.send(world.process())
        process = world.process()
        institution, _ = institution_and_marks(process)
        (outcome,) = process.capability(Explanations).poller.poll([institution])

    assert outcome.error is not None
    assert outcome.error.code == "wiseflow.request_unreadable"
    (alert,) = world.database.alerts.find({"code": "wiseflow.request_unreadable"})
    assert f"flow {one['flowId']}" in alert["cause"]
    assert "replay" not in alert["nextAction"]


@pytest.mark.parametrize(
    "malformed", [None, {}, "x", 7, {"a": DEEP}, DIGITS, {"data": []}], ids=lambda malformed: str(malformed)[:12]
)
def test_a_flow_without_a_list_affects_no_other_flow(malformed: Any, world: World) -> None:
    bad_flow: list[int] = []

    def rewrite(method: str, path: str, body: bytes) -> bytes:
        found = LIST.search(path)
        if method == "GET" and found and not ALONE.search(path) and int(found[1]) in bad_flow:
            return as_sent(malformed)
        return body

    with RewritingProxy(world.addresses["wiseflow"], rewrite) as proxy:
        world.addresses = {**world.addresses, "wiseflow": proxy.address}
        org_id = install(world)
        bad = world.control.add_request(org_id)
        good = [world.control.add_request(org_id)["caseId"] for _ in range(3)]
        bad_flow.append(bad["flowId"])
        process = world.process()
        world.carry_until(process, lambda: registered(world) == set(good), "the others are registered")
        institution, marks = institution_and_marks(process)
        while marks.get(institution).failures < 3:
            (outcome,) = process.capability(Explanations).poller.poll([institution])
            assert outcome.error is not None
        alert = world.database.alerts.find_one({"code": outcome.error.code})
        assert alert is not None
        assert f"flow {bad['flowId']}" in alert["cause"]
        assert alert["nextAction"]

        bad_flow.clear()
        world.carry_until(process, lambda: registered(world) == {*good, bad["caseId"]}, "it is registered too")
        assert marks.get(institution).failures == 0
