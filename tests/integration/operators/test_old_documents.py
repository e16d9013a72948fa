"""Documents of this release's first version stay readable: after an upgrade, work in every state is finished.

The documents are written out here, as frozen copies of schema version 1. Never adapt them to new code: a new version gets
copies of its own beside them. Only the names of a living case (exam, person, flow) are filled in.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.support.end_state import check_registrations
from tests.support.world import World

WRITTEN = datetime(2026, 1, 8, 9, 14, 22, 345000, tzinfo=UTC)
Document = dict[str, Any]
USER_NAME = "kari.nordmann17"


class Living:
    """A case of the simulated world, with the names that the documents need."""

    def __init__(self, world: World, org_id: str, number: int) -> None:
        added = world.control.add_request(org_id)
        names = [
            {"name": "Feide", "value": f"{USER_NAME}@{org_id}"},
            {"name": "FS", "value": str(added["personlopenr"])},
        ]
        world.control.change(added["caseId"], brukernavn=USER_NAME, externalIds=names)
        self.org_id = org_id
        self.exam_id: str = added["examId"]
        self.personlopenr: int = added["personlopenr"]
        self.kandidatnr: int = added["kandidatnr"]
        self.flow_id: int = added["flowId"]
        self.participant_id: int = added["participantId"]
        self.case_id = f"{number:032x}"
        self.correlation_id = f"c0{number:030x}"

    def case(self, **changed: Any) -> Document:
        return {
            "_id": self.case_id,
            "schemaVersion": 1,
            "correlationId": self.correlation_id,
            "orgId": self.org_id,
            "env": "test",
            "institution": f"{self.org_id}/test",
            "examSystem": "WISEFLOW",
            "type": "BEGRUNN",
            "vurdId": self.exam_id,
            "personlopenr": self.personlopenr,
            "kandidatnr": self.kandidatnr,
            "kommisjonsId": "1",
            "askedOn": datetime(2026, 1, 8, tzinfo=UTC),
            "deadline": datetime(2026, 1, 22, tzinfo=UTC),
            "state": "requested",
            "openedAt": WRITTEN,
            "setAside": None,
            **changed,
        }

    def request_message(self, **changed: Any) -> Document:
        return {
            "_id": f"aa{self.case_id[2:]}",
            "schemaVersion": 1,
            "queue": "wiseflow-begrunnelse",
            "status": "enqueued",
            "orgId": self.org_id,
            "env": "test",
            "examSystem": "WISEFLOW",
            "institution": f"{self.org_id}/test",
            "orderingKey": self.case_id,
            "correlationId": self.correlation_id,
            "payload": {
                "caseId": self.case_id,
                "request": {
                    "examId": self.exam_id,
                    "personlopenr": self.personlopenr,
                    "kandidatnr": self.kandidatnr,
                    "brukernavn": USER_NAME,
                    "kommisjonsId": "1",
                    "datoKlageMottat": "2026-01-08",
                    "datoVedtakFormidlet": None,
                    "frist": "2026-01-22",
                },
            },
            "enqueuedAt": WRITTEN,
            "dueAt": WRITTEN,
            "attempts": 0,
            "generation": 1,
            "fence": 0,
            "steps": {},
            "errors": [],
            "effects": [],
            **changed,
        }

    def steps_so_far(self) -> Document:
        return {
            "find_exam": {
                "at": WRITTEN,
                "fence": 1,
                "milliseconds": 41,
                "result": {"flowId": self.flow_id, "subFlowIds": []},
                "last": False,
            },
            "find_candidate": {
                "at": WRITTEN,
                "fence": 1,
                "milliseconds": 17,
                "result": {
                    "flowId": self.flow_id,
                    "participantId": self.participant_id,
                    "submissionId": None,
                },
                "last": False,
            },
        }


FAILURE: Document = {
    "at": WRITTEN,
    "attempt": 1,
    "step": "request_explanation",
    "category": "transient",
    "code": "wiseflow.http_503",
    "cause": "WISEflow POST /flow/{flow_id}/explanation/request (status 503) failed.",
    "nextAction": "Nothing to do unless it lasts: then give the trace id to the support of WISEflow.",
}


@pytest.fixture
def org_id(world: World) -> str:
    population = world.populate(institutions=1, courses=1, requests=0, variety=False)
    world.control.modes(justification="justification")
    return str(population["institutions"][0]["orgId"])


@pytest.fixture
def process(world: World, org_id: str) -> Process:
    return world.process()


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"status": "failed", "attempts": 1, "fence": 1, "errors": [FAILURE], "settledFence": 1},
        {
            "status": "processing",
            "attempts": 1,
            "fence": 1,
            "owner": "0f5c3c6be7d94e0e9a0b3f7f5b0c2a11",
            "claim": "4b825dc642cb6eb9a060e54bf8d69288",
            "startedAt": WRITTEN,
        },
    ],
    ids=["enqueued", "failed", "processing"],
)
@pytest.mark.parametrize("begun", [False, True], ids=["at its first step", "at its last step"])
def test_a_request_message_is_handled(
    changed: Document, begun: bool, world: World, org_id: str, process: Process
) -> None:
    living = Living(world, org_id, 1)
    steps = living.steps_so_far() if begun else {}
    world.database.cases.insert_one(living.case())
    world.database.messages.insert_one(living.request_message(**{**changed, "steps": steps}))

    assert process.synchronisation.run_batch().by_status == {"processed": 1}

    case = world.database.cases.find_one({"_id": living.case_id})
    assert case is not None
    assert (case["state"], case["flowId"], case["participantId"]) == (
        "dispatched",
        living.flow_id,
        living.participant_id,
    )
    assert world.control.summary()["dispatched"] == 1
    assert [entry["step"] for entry in world.audit(success=True)].count("find_exam") == 1


def test_an_answer_message_continues_after_its_fetched_text(world: World, org_id: str, process: Process) -> None:
    living = Living(world, org_id, 2)
    institution = process.stores.institutions.active()[0]
    created = process.clients.exam_system(institution).client.request_explanation(
        living.flow_id, living.participant_id, show=False, due=None
    )
    request_id = created.explanation_request_id
    world.control.wait("answered", 1)
    (explanation,) = process.clients.exam_system(institution).client.explanations(living.flow_id)
    world.database.cases.insert_one(
        living.case(
            state="dispatched",
            dispatchedAt=WRITTEN,
            flowId=living.flow_id,
            participantId=living.participant_id,
            submissionId=None,
            explanationRequestId=request_id,
        )
    )
    world.database.messages.insert_one(
        {
            "_id": "bb000000000000000000000000000002",
            "schemaVersion": 1,
            "queue": "wiseflow-begrunnelse-svar",
            "status": "processing",
            "orgId": org_id,
            "env": "test",
            "examSystem": "WISEFLOW",
            "institution": f"{org_id}/test",
            "orderingKey": living.case_id,
            "correlationId": living.correlation_id,
            "payload": {
                "caseId": living.case_id,
                "flowId": living.flow_id,
                "explanationRequestId": request_id,
                "vurdId": living.exam_id,
                "personlopenr": living.personlopenr,
                "kandidatnr": living.kandidatnr,
            },
            "enqueuedAt": WRITTEN,
            "dueAt": WRITTEN,
            "attempts": 1,
            "generation": 1,
            "fence": 1,
            "owner": "0f5c3c6be7d94e0e9a0b3f7f5b0c2a11",
            "claim": "4b825dc642cb6eb9a060e54bf8d69288",
            "startedAt": WRITTEN,
            "steps": {
                "fetch_answer": {
                    "at": WRITTEN,
                    "fence": 1,
                    "milliseconds": 88,
                    "result": {
                        "textHash": "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
                        "givenAt": WRITTEN,
                        "source": "justification",
                        "text": explanation.text,
                    },
                    "last": False,
                }
            },
            "errors": [],
            "effects": [],
        }
    )

    assert process.synchronisation.run_batch().by_status == {"processed": 1}

    check_registrations(world, 1)
    case = world.database.cases.find_one({"_id": living.case_id})
    assert case is not None
    assert (case["state"], case["answerGivenAt"]) == ("registered", WRITTEN)
    assert case["registeredHash"].startswith("5e884898")


def test_pending_effects_of_a_processed_message_are_delivered(world: World, org_id: str, process: Process) -> None:
    living = Living(world, org_id, 3)
    document = {
        "time": "2026-01-08T09:14:22.345000+00:00",
        "correlationId": living.correlation_id,
        "orgId": org_id,
        "env": "test",
        "examSys": "WISEFLOW",
        "submodule": "wiseflow-begrunnelse",
        "step": "finished",
        "success": True,
        "code": None,
        "attempts": 1,
    }
    owing = living.request_message(
        status="processed",
        attempts=1,
        fence=1,
        settledFence=1,
        startedAt=WRITTEN,
        finishedAt=WRITTEN,
        effectsDueAt=WRITTEN,
        steps=living.steps_so_far(),
        effects=[{"id": "0b41c2a0c6f94d4f8a6c5a7a2a1e7f03", "kind": "log_index", "body": document}],
    )
    del owing["dueAt"]
    world.database.messages.insert_one(owing)

    process.relay.deliver_left_behind()

    (indexed,) = world.control.laas_documents()
    assert indexed["document"] == {"id": "0b41c2a0c6f94d4f8a6c5a7a2a1e7f03", **document}
    assert world.database.messages.count_documents({}) == 0
    assert world.database.processed_messages.count_documents({"_id": owing["_id"]}) == 1


def test_a_pending_alert_is_sent_and_a_dead_message_is_found(world: World, org_id: str, process: Process) -> None:
    living = Living(world, org_id, 4)
    world.database.cases.insert_one(living.case(setAside="wiseflow.participant_missing", setAsideAt=WRITTEN))
    failure = {
        **FAILURE,
        "step": "find_candidate",
        "category": "permanent",
        "code": "wiseflow.participant_missing",
        "cause": f"No participant of flow {living.flow_id} in WISEflow is the candidate of the request.",
        "nextAction": "Check that the candidate is on the flow, then replay the message.",
    }
    dead = living.request_message(status="dead", attempts=1, fence=1, settledFence=1, errors=[failure])
    del dead["dueAt"]
    world.database.messages.insert_one(dead)
    world.database.alerts.insert_one(
        {
            "_id": "a1e57000000000000000000000000004",
            "institution": f"{org_id}/test",
            "orgId": org_id,
            "submodule": "wiseflow-begrunnelse",
            "step": "find_candidate",
            "code": failure["code"],
            "cause": failure["cause"],
            "nextAction": failure["nextAction"],
            "correlationId": living.correlation_id,
            "openedAt": WRITTEN,
            "lastAt": WRITTEN,
            "state": "owed",
            "dueAt": WRITTEN,
            "correlationIds": [living.correlation_id],
        }
    )

    assert process.relay.send_alerts() == 1

    (message,) = world.control.slack_messages()
    assert living.correlation_id in message["message"]["text"]
    history = process.operators.histories.by_correlation_id(living.correlation_id)
    assert history is not None
    assert (history.set_aside, history.next_action) == (failure["code"], failure["nextAction"])
    assert process.operators.status.read().dead == 1


def test_watermarks_keys_and_pauses_are_read(world: World, org_id: str, process: Process) -> None:
    (institution,) = process.stores.institutions.active()
    world.database.watermarks.insert_one(
        {
            "_id": f"{org_id}|test|WISEFLOW|begrunnelse",
            "orgId": org_id,
            "env": "test",
            "examSystem": "WISEFLOW",
            "module": "begrunnelse",
            "siden": WRITTEN,
            "status": "processed",
            "updated": WRITTEN,
            "failures": 2,
            "error": "fs.http_503",
        }
    )
    world.database.pauses.insert_one(
        {
            "_id": institution.key,
            "system": "FS",
            "code": "fs.credentials_refused",
            "cause": "FS GET /begrunnelse/{exam_system} (status 401) refused the institution's credentials.",
            "since": WRITTEN,
            "trials": 3,
            "tryAt": WRITTEN,
        }
    )
    mark = process.capability(Explanations).watermarks.get(institution)
    assert (mark.since, mark.failures) == (WRITTEN, 2)
    assert process.stores.pauses.paused() == {institution.key}

    process.platform.probes.run_due()

    assert process.stores.pauses.paused() == set()
