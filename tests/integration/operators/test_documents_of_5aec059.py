"""Documents that commit 5aec059 left in the database are handled: no second case, no second request, no second registration.

That version wrote the documents (tests/fixtures/README.md). Their world is made again in the simulators. Plain calls repeat
what had been done there, so that FS and WISEflow are as the documents say.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bson import json_util

from casebridge.exams.models import ExplanationRegistration
from casebridge.institutions.institution import Institution
from casebridge.messaging.listener.lane_scheduler import LaneScheduler
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from casebridge.storage.migrations import MIGRATIONS
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from simulators.explanation_texts import compose
from tests.fixtures import world_of_5aec059 as old_world
from tests.support.world import World

FILE = Path(__file__).parents[2] / "fixtures" / "documents_of_5aec059.json"
MISTAKES = (
    "registered_twice", "registered_out_of_order", "registered_too_early", "wrong_text", "stale_text",
    "dispatched_to_wrong_participant",
)  # fmt: skip
REPLAY = Order(dry_run=False, reason="upgraded", asked_by="a test")
AWARE = json_util.JSONOptions(tz_aware=True)
ASKED_BEFORE = 11
"""The number of explanation requests in WISEflow, with the one of the case that some tests leave out."""
Document = dict[str, Any]


@dataclass
class Old:
    """The world as 5aec059 left it: its documents are loaded, and FS and WISEflow match them."""

    world: World
    refused: str
    """The institution that is paused."""
    documents: dict[str, list[Document]]

    def cases(self, **wanted: Any) -> list[Document]:
        return [case for case in self.documents["begrunnelser"] if wanted.items() <= case.items()]

    def upgrade(self) -> Process:
        """Upgrade as docs/operating.md says, with `casebridge migrate`, here twice."""
        process = self.world.process()
        process.stores.database.ensure_indexes()
        assert process.storage.migrate(lambda _migration, _progress: None) == MIGRATIONS
        assert process.storage.migrate(lambda _migration, _progress: None) == ()
        return process


def load(world: World, *, padded: bool | None) -> Old:
    """Make the old world. `padded` is how FS spells the exam of the padded case now; `None` leaves that case out."""
    documents: dict[str, list[Document]] = json_util.loads(FILE.read_text(), json_options=AWARE)
    plain, showing, refused = old_world.populate(world)
    process = world.process()
    institutions = {institution.org_id: institution for institution in process.stores.institutions.active()}
    asked = sorted(
        (case for case in documents["begrunnelser"] if "explanationRequestId" in case),
        key=lambda case: case["explanationRequestId"],
    )

    old_world.ask_and_answer(world, plain, showing)
    answered = [case for case in asked if case["state"] in ("registered", "shown")]
    for case in answered:
        ask(process, institutions[case["orgId"]], case)
    world.control.wait("answered", len(answered))
    for case in answered:
        register(process, institutions[case["orgId"]], case)

    world.control.assessors(paused=True)
    *_, withdrawn = old_world.ask_in_vain(world, plain)
    old_world.ask_under_a_padded_id(world, plain, padded=bool(padded), hold=padded is None)
    for case in asked:
        if case not in answered:
            ask(process, institutions[case["orgId"]], case)
    world.control.withdraw(withdrawn["caseId"])
    old_world.ask_what_is_refused(world, plain)
    old_world.ask_while_it_is_away(world, plain)
    old_world.ask_with_refused_credentials(world, refused)
    world.control.credentials(refused, "wiseflow", valid=False)

    if padded is None:
        documents = {name: without_padded_case(found, documents) for name, found in documents.items()}
    for name, found in documents.items():
        world.database.cases.database[name].insert_many(found)
    return Old(world, refused, documents)


def without_padded_case(found: list[Document], documents: dict[str, list[Document]]) -> list[Document]:
    (name,) = (case["correlationId"] for case in documents["begrunnelser"] if case["vurdId"].endswith("="))
    return [document for document in found if document.get("correlationId") != name]


def ask(process: Process, institution: Institution, case: Document) -> None:
    client = process.clients.exam_system(institution).client
    requested = client.request_explanation(case["flowId"], case["participantId"], show=False, due=None)
    assert requested.explanation_request_id == case["explanationRequestId"], "the world of the documents"


def register(process: Process, institution: Institution, case: Document) -> None:
    text = compose(case["submissionId"], 1, seed=old_world.POPULATION["seed"])
    assert hashlib.sha256(text.encode()).hexdigest() == case["registeredHash"], "the world of the documents"
    process.clients.student_registry(institution).register_explanation(
        ExplanationRegistration(
            vurd_id=case["vurdId"],
            personlopenr=case["personlopenr"],
            kandidatnr=case["kandidatnr"],
            kommisjons_id=case["kommisjonsId"],
            communicated_on=case["answerGivenAt"].date(),
            text=text,
        )
    )
    if case["state"] == "shown":
        process.clients.exam_system(institution).show_explanation(
            str(case["flowId"]), str(case["explanationRequestId"])
        )


def reconcile(world: World, process: Process) -> None:
    """Reconcile until nothing new comes, also with answered cases. The assessors answer what they are asked."""
    world.control.assessors(minimum_delay_s=0.0, maximum_delay_s=0.0, paused=False)
    for _ in range(3):
        if not world.synchronise(process, also_answered=True):
            return


def states(world: World) -> Counter[str]:
    return Counter(case["state"] for case in world.database.cases.find())


def check_no_mistakes(world: World, *, registered: int) -> None:
    summary = world.control.summary()
    assert {name: summary[name] for name in MISTAKES} == dict.fromkeys(MISTAKES, 0)
    assert (summary["registered"], summary["registrations"]) == (registered, registered)


def test_open_and_finished_cases_are_handled_once(world: World) -> None:
    old = load(world, padded=None)
    before = {case["_id"]: case for case in old.documents["begrunnelser"]}
    process = old.upgrade()

    reconcile(world, process)

    assert {case["_id"] for case in world.database.cases.find()} == set(before), "no second case"
    assert states(world) == {"registered": 3 + 3 + 2, "shown": 3, "withdrawn": 1, "requested": 1 + 2}
    assert world.control.summary()["dispatched"] == ASKED_BEFORE + 2, "no second request"
    check_no_mistakes(world, registered=11)
    assert world.database.messages.count_documents({"status": "dead"}) == 2, "what is dead is not set aside once more"
    assert process.operators.completeness.account().unaccounted == ()
    for case in world.database.cases.find({"state": {"$in": ["registered", "shown"]}}):
        known = before[case["_id"]]
        assert case["correlationId"] == known["correlationId"]
        if known["state"] == case["state"]:
            assert case["registeredBy"] == known["registeredBy"], "what was registered then was not registered anew"


def test_pending_alerts_and_watermarks_are_used(world: World) -> None:
    old = load(world, padded=None)
    process = old.upgrade()
    owed = [alert for alert in old.documents["alerts"] if alert["state"] == "owed"]
    assert len(owed) == 2
    marks = {mark["_id"]: mark["siden"] for mark in old.documents["LastAudit"]}
    for institution in process.stores.institutions.active():
        key = f"{institution.org_id}|{institution.env}|{institution.exam_system}|begrunnelse"
        assert process.capability(Explanations).watermarks.get(institution).since == marks[key]

    assert process.relay.send_alerts() == len(owed)

    slack_texts = " ".join(message["message"]["text"] for message in world.control.slack_messages())
    assert all(alert["code"] in slack_texts for alert in owed)


def test_dead_messages_can_be_replayed(world: World) -> None:
    old = load(world, padded=None)
    process = old.upgrade()
    found = process.operators.dead_letters.find(DeadLetterFilter(), 10)
    assert found.by_code == {"fs.row_unreadable": 1, "wiseflow.explanations_off": 1}

    report = process.operators.dead_letters.replay(DeadLetterFilter(code="wiseflow.explanations_off"), REPLAY)
    assert report.changed == 1
    reconcile(world, process)

    (case,) = old.cases(setAside="wiseflow.explanations_off")
    carried = world.database.cases.find_one({"_id": case["_id"]})
    assert carried is not None
    assert (carried["state"], carried["setAside"]) == ("registered", None)
    assert world.database.cases.count_documents({}) == len(old.documents["begrunnelser"])
    check_no_mistakes(world, registered=12)


@pytest.mark.parametrize("migrated", [True, False], ids=["after migrate", "without migrate"])
def test_a_pause_lasts_until_it_is_ended(migrated: bool, world: World) -> None:
    old = load(world, padded=None)
    process = old.upgrade() if migrated else world.process()
    name = f"{old.refused}/test"
    assert process.stores.pauses.paused() == {name}
    assert not any(message.institution == name for message in claimed(process))

    reconcile(world, process)
    assert {pause.who for pause in process.stores.pauses.all()} == {f"{name}/WISEFLOW"}, (
        "its trial says which exam system it is"
    )
    waiting = list(world.database.messages.find({"institution": name}))
    assert [(message["status"], message["attempts"]) for message in waiting] == [(MessageStatus.ENQUEUED, 0)] * 2

    world.control.credentials(old.refused, "wiseflow", valid=True)
    world.carry_until(process, lambda: not process.stores.pauses.paused(), "a trial lifts the pause")
    reconcile(world, process)
    assert world.database.cases.count_documents({"institution": name, "state": "registered"}) == 2
    check_no_mistakes(world, registered=13)


def claimed(process: Process) -> list[Any]:
    """The messages that a listener's next claim takes while some are paused. They are released again."""
    messages = LaneScheduler(process.stores.queue, process.stores.clock).take(
        "a test", 100, process.stores.pauses.paused()
    )
    process.stores.queue.release(messages)
    return messages


@pytest.mark.parametrize("padded", [True, False], ids=["FS still pads", "FS pads no more"])
def test_a_case_under_a_padded_id_is_the_same_case(padded: bool, world: World) -> None:
    old = load(world, padded=padded)
    (case,) = (case for case in old.documents["begrunnelser"] if case["vurdId"].endswith("="))
    process = old.upgrade()

    reconcile(world, process)

    assert {found["_id"] for found in world.database.cases.find()} == {
        found["_id"] for found in old.documents["begrunnelser"]
    }
    carried = world.database.cases.find_one({"_id": case["_id"]})
    assert carried is not None
    assert process.operators.dead_letters.find(DeadLetterFilter(correlation_id=case["correlationId"]), 1).by_code == {}
    assert (carried["state"], carried["correlationId"]) == ("registered", case["correlationId"])
    check_no_mistakes(world, registered=12)
