"""The engine carries a case whatever the ids of its exam system look like, and finds stored ids as numbers and as texts."""

from datetime import timedelta
from typing import Any

import pytest

from casebridge.exams.explanations.answer_flow import AnswerFlow
from casebridge.exams.explanations.answer_poller import AnswerPoller
from casebridge.exams.explanations.moved_deadlines import MovedDeadlines
from casebridge.exams.explanations.request_flow import RequestFlow
from casebridge.exams.explanations.request_intake import QUEUE
from casebridge.exams.explanations.request_steps import RequestPayload
from casebridge.messaging.flow.flow import Flow
from casebridge.messaging.listener.worker import Worker
from casebridge.sources.polling import Polling
from casebridge.sources.watermarks import ANSWERS, Watermarks
from resources.wiring.bridge import Bridge
from tests.support.text_exams import TextClients, TextExams
from tests.support.world import World

IDS = ("flowId", "participantId", "submissionId", "explanationRequestId")


def as_texts(world: World, case: dict[str, Any]) -> None:
    changed = {name: str(case[name]) for name in IDS if case.get(name) is not None}
    assert {"flowId", "participantId", "explanationRequestId"} <= set(changed)
    world.database.cases.update_one({"_id": case["_id"]}, {"$set": changed})


@pytest.fixture
def sent(world: World) -> Bridge:
    """Two cases of one exam, whose assessors have answered."""
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    bridge = world.bridge()
    world.send(bridge)
    world.control.wait("submitted", world.control.summary()["dispatched"])
    return bridge


def test_a_case_whose_ids_are_texts_is_polled_like_one_whose_ids_are_numbers(world: World, sent: Bridge) -> None:
    first, _ = world.database.cases.find().sort("_id", 1)
    as_texts(world, first)

    (outcome,) = sent.poller.poll(sent.institutions.active())
    messages = list(world.database.messages.find())
    sent.synchronisation.run_batch()

    assert (len(outcome.accepted), outcome.counts["flows"]) == (2, 1)
    assert {type(message["payload"]["flowId"]) for message in messages} == {int, str}
    assert {case["state"] for case in world.database.cases.find()} <= {"registered", "shown"}
    assert world.control.summary()["registered"] == 2
    assert world.database.alerts.count_documents({}) == 0


def test_the_answer_has_the_same_message_in_either_form(world: World, sent: Bridge) -> None:
    sent.poller.poll(sent.institutions.active())
    before = {message["_id"] for message in world.database.messages.find()}
    for case in list(world.database.cases.find()):
        as_texts(world, case)

    (outcome,) = sent.poller.poll(sent.institutions.active())

    assert (outcome.accepted, outcome.known) == ((), 2)
    assert {message["_id"] for message in world.database.messages.find()} == before


def test_a_flow_that_an_event_names_has_the_cases_of_both_forms(world: World, sent: Bridge) -> None:
    first, second = world.database.cases.find().sort("_id", 1)
    as_texts(world, first)
    (institution,) = sent.institutions.active()

    assert {case.id for case in sent.cases.on_flows(institution.key, [str(first["flowId"])])} == {
        first["_id"],
        second["_id"],
    }
    assert len(sent.poller.look_at(institution, str(first["flowId"])).accepted) == 2


def test_the_other_case_of_a_participant_is_found_in_either_form(world: World, sent: Bridge) -> None:
    first, second = world.database.cases.find().sort("_id", 1)
    place = {name: first[name] for name in ("flowId", "participantId")}
    world.database.cases.update_one({"_id": second["_id"]}, {"$set": place})
    as_texts(world, first)
    for one, other in ((first, second), (second, first)):
        case = sent.cases.get(one["_id"])
        assert case is not None
        assert case.candidate is not None
        assert [found["_id"] for found in sent.cases.on_participant(case, case.candidate)] == [other["_id"]]


def test_what_is_no_number_is_an_error_of_that_case_alone(world: World, sent: Bridge) -> None:
    first, second = world.database.cases.find().sort("_id", 1)
    world.database.cases.update_one({"_id": first["_id"]}, {"$set": {"explanationRequestId": "abc"}})

    sent.poller.poll(sent.institutions.active())
    sent.synchronisation.run_batch()

    (dead,) = world.database.messages.find()
    assert dead["errors"][-1]["code"] == "wiseflow.id_unreadable"
    states = {case["_id"]: case["state"] for case in world.database.cases.find()}
    assert states[first["_id"]] == "dispatched"
    assert states[second["_id"]] in {"registered", "shown"}


def test_a_request_is_validated_once_on_its_way_through_its_flow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(institutions=1, courses=1, requests=3, variety=False)
    read: list[str] = []
    original = RequestPayload.read.__func__  # type: ignore[attr-defined]

    def counted(cls: type[RequestPayload], stored: Any) -> RequestPayload:
        read.append(stored["caseId"])
        found: RequestPayload = original(cls, stored)
        return found

    monkeypatch.setattr(RequestPayload, "read", classmethod(counted))

    world.send(world.bridge())

    assert sorted(read) == sorted(case["_id"] for case in world.database.cases.find({"state": "dispatched"}))
    assert len(read) == 3


def text_flows(bridge: Bridge, exams: TextExams) -> tuple[dict[str, Flow], AnswerPoller]:
    clients = TextClients(bridge.clients, exams)
    request = RequestFlow(bridge.institutions, clients, bridge.cases, 14, MovedDeadlines(bridge.cases, bridge.alerts))
    answer = AnswerFlow(
        bridge.institutions,
        clients,
        bridge.cases,
        bridge.queue.accept,
        lambda case_id: bridge.queue.statuses_of(case_id, QUEUE),
    )
    poller = AnswerPoller(
        clients,
        bridge.queue,
        bridge.cases,
        Watermarks(bridge.database, bridge.clock, ANSWERS),
        Polling(bridge.audit, bridge.alerts, bridge.pauses, bridge.probes, bridge.clock),
        bridge.clock,
        timedelta(days=14),
    )
    return {request.queue: request, answer.queue: answer}, poller


def test_a_request_is_carried_to_its_answer_without_any_number(world: World) -> None:
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    bridge, exams = world.bridge(), TextExams()
    flows, poller = text_flows(bridge, exams)
    bridge.worker = Worker(bridge.queue, flows, bridge.clock, 5)
    world.send(bridge)
    assert len(exams.requests) == 2
    (waiting,) = poller.poll(bridge.institutions.active())
    assert waiting.accepted == ()

    for request in exams.requests:
        exams.texts[request] = f"The answer to {request}."
    (answered,) = poller.poll(bridge.institutions.active())
    bridge.synchronisation.run_batch()

    cases = list(world.database.cases.find())
    assert [case["state"] for case in cases] == ["shown", "shown"]
    for case in cases:
        assert case["flowId"].startswith("exam-")
        assert case["participantId"] == f"candidate-{case['kandidatnr']}"
        assert case["explanationRequestId"] == f"request-of-candidate-{case['kandidatnr']}"
        assert case["submissionId"] is None
    assert len(answered.accepted) == 2
    assert exams.shown == set(exams.requests)
    assert world.control.summary()["registered"] == 2
    assert world.database.messages.count_documents({}) == 0
    assert world.audit(success=False) == []
