"""The engine handles a case whatever form the ids of its exam system have. It finds stored ids as numbers and as texts."""

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
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.support.text_exams import TextClients, TextExams
from tests.support.world import World

IDS = ("flowId", "participantId", "submissionId", "explanationRequestId")


def as_texts(world: World, case: dict[str, Any]) -> None:
    changed = {name: str(case[name]) for name in IDS if case.get(name) is not None}
    assert {"flowId", "participantId", "explanationRequestId"} <= set(changed)
    world.database.cases.update_one({"_id": case["_id"]}, {"$set": changed})


@pytest.fixture
def sent(world: World) -> Process:
    """Two cases of one exam, whose assessors have answered."""
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    process = world.process()
    world.send(process)
    world.control.wait("submitted", world.control.summary()["dispatched"])
    return process


def test_a_case_whose_ids_are_texts_is_polled_like_one_whose_ids_are_numbers(world: World, sent: Process) -> None:
    first, _ = world.database.cases.find().sort("_id", 1)
    as_texts(world, first)

    (outcome,) = sent.capability(Explanations).poller.poll(sent.stores.institutions.active())
    messages = list(world.database.messages.find())
    sent.synchronisation.run_batch()

    assert (len(outcome.accepted), outcome.counts["flows"]) == (2, 1)
    assert {type(message["payload"]["flowId"]) for message in messages} == {int, str}
    assert {case["state"] for case in world.database.cases.find()} <= {"registered", "shown"}
    assert world.control.summary()["registered"] == 2
    assert world.database.alerts.count_documents({}) == 0


def test_the_answer_has_the_same_message_in_either_form(world: World, sent: Process) -> None:
    sent.capability(Explanations).poller.poll(sent.stores.institutions.active())
    before = {message["_id"] for message in world.database.messages.find()}
    for case in list(world.database.cases.find()):
        as_texts(world, case)

    (outcome,) = sent.capability(Explanations).poller.poll(sent.stores.institutions.active())

    assert (outcome.accepted, outcome.known) == ((), 2)
    assert {message["_id"] for message in world.database.messages.find()} == before


def test_a_flow_that_an_event_names_has_the_cases_of_both_forms(world: World, sent: Process) -> None:
    first, second = world.database.cases.find().sort("_id", 1)
    as_texts(world, first)
    (institution,) = sent.stores.institutions.active()

    assert {
        case.id for case in sent.capability(Explanations).cases.on_flows(institution.key, [str(first["flowId"])])
    } == {
        first["_id"],
        second["_id"],
    }
    assert len(sent.capability(Explanations).poller.poll_flow(institution, str(first["flowId"])).accepted) == 2


def test_the_other_case_of_a_participant_is_found_in_either_form(world: World, sent: Process) -> None:
    first, second = world.database.cases.find().sort("_id", 1)
    place = {name: first[name] for name in ("flowId", "participantId")}
    world.database.cases.update_one({"_id": second["_id"]}, {"$set": place})
    as_texts(world, first)
    for one, other in ((first, second), (second, first)):
        case = sent.capability(Explanations).cases.get(one["_id"])
        assert case is not None
        assert case.candidate is not None
        assert [found["_id"] for found in sent.capability(Explanations).cases.on_participant(case, case.candidate)] == [
            other["_id"]
        ]


def test_an_id_that_is_no_number_is_an_error_of_its_case_alone(world: World, sent: Process) -> None:
    first, second = world.database.cases.find().sort("_id", 1)
    world.database.cases.update_one({"_id": first["_id"]}, {"$set": {"explanationRequestId": "abc"}})

    sent.capability(Explanations).poller.poll(sent.stores.institutions.active())
    sent.synchronisation.run_batch()

    (dead,) = world.database.messages.find()
    assert dead["errors"][-1]["code"] == "wiseflow.id_unreadable"
    states = {case["_id"]: case["state"] for case in world.database.cases.find()}
    assert states[first["_id"]] == "dispatched"
    assert states[second["_id"]] in {"registered", "shown"}


def test_a_request_is_validated_once_on_its_way_through_its_flow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(institutions=1, courses=1, requests=3, variety=False)
    read: list[str] = []
    original = RequestPayload.read.__func__  # type: ignore[attr-defined]  # a bound method has it

    def counted(cls: type[RequestPayload], stored: Any) -> RequestPayload:
        read.append(stored["caseId"])
        found: RequestPayload = original(cls, stored)
        return found

    monkeypatch.setattr(RequestPayload, "read", classmethod(counted))

    world.send(world.process())

    assert sorted(read) == sorted(case["_id"] for case in world.database.cases.find({"state": "dispatched"}))
    assert len(read) == 3


def text_flows(process: Process, exams: TextExams) -> tuple[dict[str, Flow], AnswerPoller]:
    clients = TextClients(process.clients, exams)
    request = RequestFlow(
        process.stores.institutions,
        clients,
        process.capability(Explanations).cases,
        14,
        MovedDeadlines(process.capability(Explanations).cases, process.stores.alerts),
    )
    answer = AnswerFlow(
        process.stores.institutions,
        clients,
        process.capability(Explanations).cases,
        process.stores.queue.accept,
        lambda case_id: process.stores.queue.statuses_of(case_id, QUEUE),
    )
    poller = AnswerPoller(
        clients,
        process.stores.queue,
        process.capability(Explanations).cases,
        Watermarks(process.stores.database, process.stores.clock, ANSWERS),
        Polling(
            process.stores.audit,
            process.stores.alerts,
            process.stores.pauses,
            process.platform.probes,
            process.stores.clock,
        ),
        process.stores.clock,
        timedelta(days=14),
    )
    return {request.queue: request, answer.queue: answer}, poller


def test_a_case_whose_ids_are_texts_is_handled_to_its_end(world: World) -> None:
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    process, exams = world.process(), TextExams()
    flows, poller = text_flows(process, exams)
    process.worker = Worker(process.stores.queue, flows, process.stores.clock, 5)
    world.send(process)
    assert len(exams.requests) == 2
    (waiting,) = poller.poll(process.stores.institutions.active())
    assert waiting.accepted == ()

    for request in exams.requests:
        exams.texts[request] = f"The answer to {request}."
    (answered,) = poller.poll(process.stores.institutions.active())
    process.synchronisation.run_batch()

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
