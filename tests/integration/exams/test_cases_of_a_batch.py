"""Cases are read and written for many messages at once. A message whose case was not read then finds its case by itself."""

from collections.abc import Sequence
from threading import Event

import pytest
from pymongo.errors import AutoReconnect

from casebridge.exams.explanations import request_reader
from casebridge.exams.explanations.cases import Cases
from casebridge.messaging.queue.message import Message
from resources.wiring.explanations import Explanations
from tests.support.command_counts import counted
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.world import World


def claimed(world: World) -> list[Message]:
    world.populate(institutions=2, courses=2, requests=8, variety=False)
    process = world.process()
    read_requests(process, process.stores.institutions.active())
    return process.stores.queue.claim("a test", 100)


def test_the_cases_of_a_claim_are_read_with_one_query(world: World) -> None:
    messages = claimed(world)
    process = world.process()
    assert len(messages) == 8

    with counted() as commands:
        process.worker.prefetch(messages)

    assert commands == {"find": 1}
    assert [message.prefetched["case"].id for message in messages] == [
        message.payload["caseId"] for message in messages
    ]


@pytest.mark.parametrize("error", [AutoReconnect("away"), RuntimeError("a defect")])
def test_each_message_reads_its_case_if_the_common_read_fails(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(_cases: Cases, _keys: Sequence[str]) -> None:
        raise error

    messages = claimed(world)
    process = world.process()
    monkeypatch.setattr(Cases, "by_ids", fails)
    process.worker.prefetch(messages)
    assert not any(message.prefetched for message in messages)

    handled = [process.worker.handle(message) for message in messages]

    assert all(each is not None and each.error is None for each in handled)


def test_a_listener_reads_the_cases_of_its_claims_together(world: World) -> None:
    world.populate(institutions=1, courses=2, requests=20, variety=False)
    process = world.process()
    read_requests(process, process.stores.institutions.active())
    by_single = []
    get = process.capability(Explanations).cases.get
    process.capability(Explanations).cases.get = lambda key: by_single.append(key) or get(key)

    process.listener((request_reader.QUEUE,)).run(Event(), until_idle=True)

    assert by_single == []
    assert process.stores.database.cases.count_documents({"state": "dispatched"}) == 20


def test_a_registered_answer_is_stored_in_its_case_though_it_cannot_be_shown(world: World) -> None:
    """The failed step comes after the step that must be written to the case."""
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    world.database.orgs.update_many({}, {"$set": {"wiseflow.showJustification": True}})
    process = world.process()
    world.send(process)
    world.control.wait("answered", 2)
    world.control.faults({"kind": "status", "status": 403, "system": "wiseflow", "method": "PATCH"})

    poll_answers(process, process.stores.institutions.active())
    process.synchronisation.run_batch()

    cases = list(world.database.cases.find())
    assert [(case["state"], case["setAside"]) for case in cases] == [("registered", None)] * 2
    assert world.database.messages.count_documents({"status": "dead"}) == 2, (
        "that it is not shown is told by its message"
    )
    assert world.database.messages.count_documents({"status": "dead"}) == 2
    world.control.clear_faults()
