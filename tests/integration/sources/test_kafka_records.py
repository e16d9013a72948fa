"""What single records come to, without a broker: the inbox reads them as a consumer would hand them over."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.sources.record import Record
from resources.wiring.bridge import Bridge
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
def bridge(world: World) -> Bridge:
    world.configure(kafka={"bootstrap_servers": "127.0.0.1:1"})  # nobody is there: nothing is fetched here
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    return world.bridge()


def record(value: bytes | None, topic: str = TOPIC, offset: int = 7) -> Record:
    return Record(topic, None, 0, offset, ACCEPTED, b"key", value)


@pytest.mark.parametrize("topic", [TOPIC, EVENTS])
def test_a_tombstone_asks_for_nothing(topic: str, bridge: Bridge) -> None:
    intake = bridge.records.accept([record(None, topic)])

    assert (intake.nothing_to_do, intake.unreadable) == (1, 0)
    assert bridge.database.messages.count_documents({}) == 0


def test_a_byte_order_mark_is_passed_over(world: World, bridge: Bridge) -> None:
    values = request_values(world, bridge)

    intake = bridge.records.accept([record(b"\xef\xbb\xbf" + value, offset=at) for at, value in enumerate(values)])

    assert (intake.accepted, intake.unreadable) == (len(values), 0)


def test_an_exam_that_cannot_be_decoded_is_the_senders_fault(world: World, bridge: Bridge) -> None:
    value = json.loads(request_values(world, bridge)[0])
    bridge.records.accept([record(json.dumps({**value, "vurdId": NAME}).encode())])
    bridge.synchronisation.run_batch()

    (letter,) = bridge.dead_letters.find(DeadLetterFilter(), 5).letters
    assert letter.code == "kafka.record_unreadable"
    assert "vurdId" in letter.cause
    assert NAME not in letter.cause


ODD: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "institution": lambda value: {**value, "orgId": IDENTITY_NUMBER, "env": NAME},
    "institution of an event": lambda value: {**value, "orgId": None, "org": IDENTITY_NUMBER, "env": NAME},
    "exam system": lambda value: {**value, "examSys": IDENTITY_NUMBER},
    "exam": lambda value: {**value, "vurdId": NAME},
    "names of fields": lambda value: {**value, "begrunnelse": {IDENTITY_NUMBER: NAME, NAME: 1}},
    "number": lambda value: {**value, "begrunnelse": {**value["begrunnelse"], "personlopenr": IDENTITY_NUMBER + NAME}},
    "not an object": lambda value: {**value, "begrunnelse": [IDENTITY_NUMBER, NAME]},
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_what_stands_in_the_wrong_place_is_repeated_nowhere(
    kind: str, world: World, bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    value = ODD[kind](json.loads(request_values(world, bridge)[0]))
    headers = ((NAME, IDENTITY_NUMBER.encode()), (IDENTITY_NUMBER, None))
    bridge.records.accept([Record(TOPIC, None, 0, 7, ACCEPTED, NAME.encode(), json.dumps(value).encode(), headers)])
    bridge.synchronisation.run_batch()
    bridge.relay.deliver_left_behind()
    bridge.relay.send_alerts()

    letters = bridge.dead_letters.find(DeadLetterFilter(), 5)
    assert letters.found == 1
    shown = {
        "Slack": world.control.slack_messages(),
        "LaaS": world.control.laas_documents(),
        "status": bridge.status.read().plain(),
        "dead list": letters.plain(),
        "dead show": [story.plain() for story in bridge.dead_letters.show(letters.letters[0].correlation_id).stories],
        "audit": list(bridge.database.audit_log.find({"success": False})),
        "log": caplog.text,
    }
    for place, told in shown.items():
        assert IDENTITY_NUMBER not in str(told), place
        assert NAME not in str(told), place


@pytest.mark.parametrize("field", ["flowId", "participantId"])
@pytest.mark.parametrize("value", [ABSENT, None, "x", [], {}, {"a": 1}, True, 1.5, ["flow"]], ids=str)
def test_a_case_that_does_not_say_its_place_hides_no_others_events(
    field: str, value: object, world: World, bridge: Bridge
) -> None:
    """Each event is of a case of its flow: whatever one case holds, those of the others come through."""
    world.send(bridge)
    neighbour, other = bridge.database.cases.find({"state": "dispatched"})
    told = [neighbour["flowId"]] if value == ["flow"] else True if value is True else value
    odd = {**other, "flowId": neighbour["flowId"], field: told}
    if value is ABSENT:
        del odd[field]
    bridge.database.cases.replace_one({"_id": other["_id"]}, odd)
    event = {
        "flowId": neighbour["flowId"], "explanationRequestId": neighbour["explanationRequestId"],
        "participantId": neighbour["participantId"], "org": neighbour["orgId"], "env": neighbour["env"],
        "examSystem": "WISEFLOW", "sequenceNumber": 1,
    }  # fmt: skip

    intake = bridge.records.accept([record(json.dumps(event).encode(), EVENTS)])

    assert (intake.accepted, intake.unreadable) == (1, 0)
    (message,) = bridge.database.messages.find({"queue": EVENTS})
    assert message["payload"]["caseId"] == neighbour["_id"]


@pytest.mark.parametrize("field", ["correlationId", "state", "institution", "personlopenr", "vurdId", "version"])
def test_a_case_that_cannot_be_read_stops_no_other_record(field: str, world: World, bridge: Bridge) -> None:
    values = request_values(world, bridge)
    world.send(bridge)
    first, *others = bridge.database.cases.find({})
    bridge.database.cases.update_one({"_id": first["_id"]}, {"$set": {field: 7}})
    bridge.database.cases.delete_many({"_id": {"$in": [other["_id"] for other in others]}})
    bridge.database.messages.delete_many({})
    bridge.database.processed_messages.delete_many({})
    bridge.database.received_keys.delete_many({})

    bridge.records.accept([record(value, offset=at) for at, value in enumerate(values)])

    accepted = [one["correlationId"] for one in bridge.database.messages.find({"queue": "wiseflow-begrunnelse"})]
    news = {one["correlationId"] for one in bridge.database.cases.find({"_id": {"$ne": first["_id"]}})}
    assert news <= set(accepted)
    assert len(news) == len(values) - 1
