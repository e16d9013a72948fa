"""What becomes of single records, without a broker: the inbox gets them like from a consumer."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.sources.record import Record
from resources.wiring.process import Process
from tests.support.absent import ABSENT
from tests.support.kafka_requests import request_values
from tests.support.world import World

TOPIC = "begrunnelse-forespoersel"
EVENTS = "wiseflow-webhook"
IDENTITY_NUMBER = "01017012345"
NAME = "kari.nordmann"
# kafka-python leaves the sockets of refused connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
ACCEPTED = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)


@pytest.fixture
def process(world: World) -> Process:
    world.configure(kafka={"bootstrap_servers": "127.0.0.1:1"})  # no broker is needed: nothing is fetched here
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    return world.process()


def record(value: bytes | None, topic: str = TOPIC, offset: int = 7) -> Record:
    return Record(topic, None, 0, offset, ACCEPTED, b"key", value)


@pytest.mark.parametrize("topic", [TOPIC, EVENTS])
def test_a_tombstone_makes_no_case(topic: str, process: Process) -> None:
    intake = process.kafka.records.accept([record(None, topic)])

    assert (intake.nothing_to_do, intake.unreadable) == (1, 0)
    assert process.stores.database.messages.count_documents({}) == 0


def test_a_byte_order_mark_is_ignored(world: World, process: Process) -> None:
    values = request_values(world, process)

    intake = process.kafka.records.accept(
        [record(b"\xef\xbb\xbf" + value, offset=at) for at, value in enumerate(values)]
    )

    assert (intake.accepted, intake.unreadable) == (len(values), 0)


def test_an_exam_that_cannot_be_decoded_is_an_error_of_the_sender(world: World, process: Process) -> None:
    value = json.loads(request_values(world, process)[0])
    process.kafka.records.accept([record(json.dumps({**value, "vurdId": NAME}).encode())])
    process.synchronisation.run_batch()

    (letter,) = process.operators.dead_letters.find(DeadLetterFilter(), 5).letters
    assert letter.code == "kafka.record_unreadable"
    assert "vurdId" in letter.cause
    assert NAME not in letter.cause


MISPLACED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "institution": lambda value: {**value, "orgId": IDENTITY_NUMBER, "env": NAME},
    "institution of an event": lambda value: {**value, "orgId": None, "org": IDENTITY_NUMBER, "env": NAME},
    "exam system": lambda value: {**value, "examSys": IDENTITY_NUMBER},
    "exam": lambda value: {**value, "vurdId": NAME},
    "names of fields": lambda value: {**value, "begrunnelse": {IDENTITY_NUMBER: NAME, NAME: 1}},
    "number": lambda value: {**value, "begrunnelse": {**value["begrunnelse"], "personlopenr": IDENTITY_NUMBER + NAME}},
    "not an object": lambda value: {**value, "begrunnelse": [IDENTITY_NUMBER, NAME]},
}  # fmt: skip


@pytest.mark.parametrize("kind", MISPLACED)
def test_a_value_in_the_wrong_field_is_shown_nowhere(
    kind: str, world: World, process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    value = MISPLACED[kind](json.loads(request_values(world, process)[0]))
    headers = ((NAME, IDENTITY_NUMBER.encode()), (IDENTITY_NUMBER, None))
    process.kafka.records.accept(
        [Record(TOPIC, None, 0, 7, ACCEPTED, NAME.encode(), json.dumps(value).encode(), headers)]
    )
    process.synchronisation.run_batch()
    process.relay.deliver_left_behind()
    process.relay.send_alerts()

    letters = process.operators.dead_letters.find(DeadLetterFilter(), 5)
    assert letters.found == 1
    shown = {
        "Slack": world.control.slack_messages(),
        "LaaS": world.control.laas_documents(),
        "status": process.operators.status.read().plain(),
        "dead list": letters.plain(),
        "dead show": [
            story.plain() for story in process.operators.dead_letters.show(letters.letters[0].correlation_id).stories
        ],
        "audit": list(process.stores.database.audit_log.find({"success": False})),
        "log": caplog.text,
    }
    for place, content in shown.items():
        assert IDENTITY_NUMBER not in str(content), place
        assert NAME not in str(content), place


@pytest.mark.parametrize("field", ["flowId", "participantId"])
@pytest.mark.parametrize("value", [ABSENT, None, "x", [], {}, {"a": 1}, True, 1.5, ["flow"]], ids=str)
def test_a_case_without_its_flow_or_participant_blocks_no_event_of_another(
    field: str, value: object, world: World, process: Process
) -> None:
    """Each event belongs to a case of its flow. A malformed case must not affect events of the others."""
    world.send(process)
    neighbour, other = process.stores.database.cases.find({"state": "dispatched"})
    content = [neighbour["flowId"]] if value == ["flow"] else True if value is True else value
    malformed = {**other, "flowId": neighbour["flowId"], field: content}
    if value is ABSENT:
        del malformed[field]
    process.stores.database.cases.replace_one({"_id": other["_id"]}, malformed)
    event = {
        "flowId": neighbour["flowId"], "explanationRequestId": neighbour["explanationRequestId"],
        "participantId": neighbour["participantId"], "org": neighbour["orgId"], "env": neighbour["env"],
        "examSystem": "WISEFLOW", "sequenceNumber": 1,
    }  # fmt: skip

    intake = process.kafka.records.accept([record(json.dumps(event).encode(), EVENTS)])

    assert (intake.accepted, intake.unreadable) == (1, 0)
    (message,) = process.stores.database.messages.find({"queue": EVENTS})
    assert message["payload"]["caseId"] == neighbour["_id"]


@pytest.mark.parametrize("field", ["correlationId", "state", "institution", "personlopenr", "vurdId", "version"])
def test_a_case_that_cannot_be_read_stops_no_other_record(field: str, world: World, process: Process) -> None:
    values = request_values(world, process)
    world.send(process)
    first, *others = process.stores.database.cases.find({})
    process.stores.database.cases.update_one({"_id": first["_id"]}, {"$set": {field: 7}})
    process.stores.database.cases.delete_many({"_id": {"$in": [other["_id"] for other in others]}})
    process.stores.database.messages.delete_many({})
    process.stores.database.processed_messages.delete_many({})
    process.stores.database.received_keys.delete_many({})

    process.kafka.records.accept([record(value, offset=at) for at, value in enumerate(values)])

    accepted = [
        one["correlationId"] for one in process.stores.database.messages.find({"queue": "wiseflow-begrunnelse"})
    ]
    news = {one["correlationId"] for one in process.stores.database.cases.find({"_id": {"$ne": first["_id"]}})}
    assert news <= set(accepted)
    assert len(news) == len(values) - 1
