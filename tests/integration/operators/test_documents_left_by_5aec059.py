"""Killed processes of commit 5aec059 left work in the middle of a step. It is finished, and so is what came by Kafka.

As in `test_documents_of_5aec059`, the world of the documents is made again, and what was done outside is done again.
"""

from pathlib import Path
from typing import Any

import pytest
from bson import json_util

from casebridge.exams.models import ExplanationRegistration
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.storage.migrations import MIGRATIONS
from resources.wiring.process import Process
from simulators.explanation_texts import compose
from tests.fixtures import world_left_by_5aec059 as old_world
from tests.integration.operators.test_documents_of_5aec059 import AWARE, MISTAKES, reconcile
from tests.support.world import World

FILE = Path(__file__).parents[2] / "fixtures" / "documents_left_by_5aec059.json"
Document = dict[str, Any]
# kafka-python leaves the sockets of refused connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def documents() -> dict[str, list[Document]]:
    read: dict[str, list[Document]] = json_util.loads(FILE.read_text(), json_options=AWARE)
    return read


@pytest.fixture
def process(world: World, documents: dict[str, list[Document]]) -> Process:
    """A process of the new release, after the upgrade."""
    world.configure(kafka={"bootstrap_servers": "127.0.0.1:1"})  # no broker is needed: the records were fetched then
    org_id = old_world.populate(world)
    process = world.process()
    (institution,) = process.stores.institutions.active()
    exam_system = process.clients.exam_system(institution).client
    registry = process.clients.student_registry(institution)

    def ask(request: Document) -> None:
        exam_system.request_explanation(request["flowId"], request["participantId"], show=False, due=None)

    registered = old_world.ask(world, org_id)
    ask(registered)
    world.control.wait("answered", 1)
    (case,) = (case for case in documents["begrunnelser"] if case["state"] == "withdrawn")
    registry.register_explanation(
        ExplanationRegistration(
            vurd_id=case["vurdId"],
            personlopenr=case["personlopenr"],
            kandidatnr=case["kandidatnr"],
            kommisjons_id=case["kommisjonsId"],
            communicated_on=case["dispatchedAt"].date(),
            text=compose(case["submissionId"], 1, seed=old_world.POPULATION["seed"]),
        )
    )
    world.control.assessors(paused=True)
    ask(old_world.ask(world, org_id))
    ask(old_world.ask(world, org_id))
    old_world.ask_unreadably(world, org_id)
    old_world.ask_by_kafka(world, org_id)
    for name, found in documents.items():
        world.database.cases.database[name].insert_many(found)
    process.stores.database.ensure_indexes()
    assert process.storage.migrate(lambda _migration, _progress: None) == MIGRATIONS
    return process


def test_the_documents_have_each_kind_of_unfinished_work(documents: dict[str, list[Document]]) -> None:
    kinds = {(message["queue"], message["status"]) for message in documents["meldingQ"]}
    assert kinds == {
        ("wiseflow-begrunnelse", "processing"),
        ("wiseflow-begrunnelse-svar", "processing"),
        ("wiseflow-begrunnelse", "discarded"),
        ("wiseflow-begrunnelse", "enqueued"),
        ("wiseflow-webhook", "enqueued"),
        ("kafka-record", "enqueued"),
    }
    assert len(documents["listeners"]) == 2, "killed ones, which say no version"
    assert documents["rateShares"]


def test_unfinished_work_is_finished_once(world: World, process: Process, documents: dict[str, list[Document]]) -> None:
    before = {case["_id"] for case in documents["begrunnelser"]}
    reconcile(world, process)

    summary = world.control.summary()
    assert {name: summary[name] for name in MISTAKES} == dict.fromkeys(MISTAKES, 0)
    assert summary["dispatched"] == 4, "no second request"
    assert (summary["registered"], summary["registrations"]) == (4, 4), "no second registration"
    cases = list(world.database.cases.find())
    assert {case["_id"] for case in cases} == before, "no second case"
    assert {(case["state"], case["setAside"]) for case in cases} == {("registered", None)}
    left = {(message["status"], message["errors"][-1]["code"]) for message in world.database.messages.find()}
    assert left == {
        ("discarded", "fs.row_unreadable"),
        ("dead", "fs.row_unreadable"),  # read again, and still not readable
        ("dead", "kafka.record_unreadable"),
    }


def test_discarded_messages_can_be_found(process: Process) -> None:
    found = process.operators.dead_letters.find(DeadLetterFilter(status=MessageStatus.DISCARDED), 5)
    assert found.by_code == {"fs.row_unreadable": 1}
