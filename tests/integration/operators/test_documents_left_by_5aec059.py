"""What killed processes of commit 5aec059 left in the middle of a step is carried to its end, and what came by Kafka, too.

As in `test_documents_of_5aec059`, the world of the documents is made again, and what had been done outside is done again.
"""

from pathlib import Path
from typing import Any

import pytest
from bson import json_util

from casebridge.exams.models import ExplanationRegistration
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.storage.migrations import MIGRATIONS
from resources.wiring.bridge import Bridge
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
def bridge(world: World, documents: dict[str, list[Document]]) -> Bridge:
    """Of the new release, after the upgrade."""
    world.configure(kafka={"bootstrap_servers": "127.0.0.1:1"})  # nobody is there: the records were fetched then
    org_id = old_world.populate(world)
    bridge = world.bridge()
    (institution,) = bridge.institutions.active()
    exam_system = bridge.clients.exam_system(institution).client
    registry = bridge.clients.student_registry(institution)

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
    bridge.database.ensure_indexes()
    assert bridge.storage.migrate(lambda _migration, _progress: None) == MIGRATIONS
    return bridge


def test_the_set_has_what_it_is_for(documents: dict[str, list[Document]]) -> None:
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


def test_what_was_begun_is_finished_once(world: World, bridge: Bridge, documents: dict[str, list[Document]]) -> None:
    before = {case["_id"] for case in documents["begrunnelser"]}
    reconcile(world, bridge)

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
        ("dead", "fs.row_unreadable"),  # read again, and still unreadable
        ("dead", "kafka.record_unreadable"),
    }


def test_what_was_discarded_can_be_found(bridge: Bridge) -> None:
    found = bridge.dead_letters.find(DeadLetterFilter(status=MessageStatus.DISCARDED), 5)
    assert found.by_code == {"fs.row_unreadable": 1}
