"""Two environments on one database: a process leaves alone what belongs to the other one, and loses nothing of it.

Each test has the same institutions, of `prod`; one process serves `prod`, the other `test`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from casebridge.alerts.alert import Alert
from casebridge.errors import AuthBrokenError
from casebridge.messaging.queue.message import NewMessage
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from casebridge.sources.record import Record
from resources.kafka.producer import KafkaChannel
from resources.wiring.bridge import Bridge
from sensors.backlog import look_at_backlog
from tests.support.end_state import check_everything
from tests.support.kafka_requests import request_values
from tests.support.world import World

REQUESTS = 6
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
ORDER = Order(dry_run=False, reason="the cause is gone", asked_by="a test")
AT_ONCE = timedelta()


@pytest.fixture
def org_id(world: World) -> str:
    population = world.populate(institutions=1, courses=2, requests=REQUESTS, variety=False, env="prod")
    return str(population["institutions"][0]["orgId"])


@pytest.fixture
def prod(world: World, org_id: str) -> Bridge:
    world.configure(environment="prod")
    return world.bridge()


@pytest.fixture
def other(world: World, prod: Bridge) -> Bridge:
    world.configure(environment=" Test")
    return world.bridge()


@pytest.fixture
def everybody(world: World, prod: Bridge) -> Bridge:
    world.configure()
    return world.bridge()


def alert(institution: str, code: str = "fs.http_503") -> Alert:
    return Alert(institution, institution, "a poll", "poll", code, "FS failed.", "Nothing to do.")


def test_another_environments_messages_are_not_claimed(world: World, prod: Bridge, other: Bridge) -> None:
    prod.synchronisation.read_requests(prod.institutions.active())
    assert other.institutions.active() == []

    assert other.synchronisation.run_batch().handled == 0
    assert other.queue.claim("a worker", 100) == []
    assert not other.queue.is_due(AT_ONCE)
    assert not look_at_backlog(other).batch_needed
    assert look_at_backlog(prod).batch_needed

    assert world.database.messages.count_documents({"status": "enqueued", "attempts": 0}) == REQUESTS
    world.carry(prod)
    check_everything(world, REQUESTS)


def test_a_listener_of_another_environment_takes_nobodys_place(prod: Bridge, other: Bridge, everybody: Bridge) -> None:
    """Its being alive is no reason for the sensors of `prod` to wait."""
    prod.synchronisation.read_requests(prod.institutions.active())
    other.register_listener(other.listener())
    assert look_at_backlog(prod).batch_needed
    assert look_at_backlog(everybody).batch_needed

    everybody.register_listener(everybody.listener())
    assert not look_at_backlog(prod).batch_needed
    assert prod.status.listeners_alive() == 2, "status shows all"


def test_another_environments_pause_is_not_tried(org_id: str, world: World, prod: Bridge, other: Bridge) -> None:
    refused = AuthBrokenError("fs.credentials_refused", "FS refused the credentials.", "Renew them.", system="FS")
    prod.pauses.pause(f"{org_id}/prod", "WISEFLOW", refused)
    world.database.pauses.update_many({}, {"$set": {"tryAt": datetime(2026, 1, 8, tzinfo=UTC)}})

    other.probes.run_due()
    (pause,) = other.pauses.all()
    assert pause.probes == 0, "neither lifted nor used up"

    prod.probes.run_due()
    assert prod.pauses.all() == []


def test_another_environments_alerts_are_not_sent(org_id: str, world: World, prod: Bridge, other: Bridge) -> None:
    for number in range(12):
        prod.alerts.enqueue(alert(f"{org_id}/prod", f"code.{number}"))
    assert other.relay.send_alerts() == 0
    other.alerts.enqueue(alert("dagster"))
    other.alerts.enqueue(alert("uis.no/test"))

    assert other.relay.send_alerts() == 2, "its own, and what is anybody's; a crowd of the others is not in the way"
    assert prod.alerts.pending() == 12
    sent = 0
    while some := prod.relay.send_alerts():
        sent += some
    assert sent == 12


def test_another_environments_effects_are_not_delivered(world: World, prod: Bridge, other: Bridge) -> None:
    world.control.faults({"system": "laas", "kind": "status", "status": 503})
    world.carry(prod)
    world.control.clear_faults()
    owing = world.database.processed_messages.count_documents({"effectsDueAt": {"$exists": True}})
    assert owing
    past = {"$set": {"effectsDueAt": datetime(2026, 1, 8, tzinfo=UTC)}}
    world.database.processed_messages.update_many({"effectsDueAt": {"$exists": True}}, past)

    assert other.relay.deliver_left_behind() == 0
    assert world.control.laas_documents() == []

    assert prod.relay.deliver_left_behind() == owing
    assert len(world.control.laas_documents()) == owing


@pytest.mark.parametrize(
    "changed", [{"env": "unknown", "institution": "uis.no/unknown"}, {"env": None, "institution": None}], ids=str
)
def test_what_names_no_environment_is_anybodys(changed: dict[str, Any], world: World, other: Bridge) -> None:
    """It must not lie there for ever because each process takes it for another's."""
    message = NewMessage("key", "no such queue", "uis.no", "prod", "case", "correlation", {}, exam_system="WISEFLOW")
    world.database.messages.insert_one({**message.document(other.clock.now()), **changed})

    other.synchronisation.run_batch()

    assert world.database.messages.count_documents({"status": "dead"}) == 1, "set aside, in sight"


def test_a_process_that_serves_all_takes_all(world: World, everybody: Bridge) -> None:
    world.carry(everybody)
    check_everything(world, REQUESTS)


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is owed to Kafka waits, and nobody looks for a broker: only what comes into the inbox is of interest."""

    def owed_still(_channel: KafkaChannel, effects: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        return {effect["id"]: "kafka.unreachable" for effect in effects}

    monkeypatch.setattr(KafkaChannel, "deliver", owed_still)


def with_kafka(world: World, environment: str) -> Bridge:
    world.configure(environment=environment, kafka={"bootstrap_servers": "127.0.0.1:1"})
    return world.bridge()


def records(values: list[bytes]) -> list[Record]:
    now = datetime.now(UTC)
    return [Record("begrunnelse-forespoersel", None, 0, place, now, None, value) for place, value in enumerate(values)]


@pytest.mark.usefixtures("no_broker")
def test_another_environments_kafka_records_are_left_to_it(world: World, org_id: str) -> None:
    """They share a consumer group: who gets a record puts it into the inbox, and whoever serves it reads it there."""
    prod, other = with_kafka(world, "prod"), with_kafka(world, "test")
    values = request_values(world, prod)
    assert other.records is not None

    other.records.accept(records(values))
    assert other.synchronisation.run_batch().handled == 0
    assert (
        world.database.messages.count_documents({"institution": f"{org_id}/prod", "queue": "kafka-record"}) == REQUESTS
    )

    assert prod.synchronisation.run_batch().by_status == {"processed": 2 * REQUESTS}
    world.carry(prod)
    assert world.control.summary()["registered"] == REQUESTS
    assert world.control.slack_messages() == []


@pytest.mark.usefixtures("no_broker")
def test_a_kafka_record_of_nobodys_environment_is_set_aside_in_sight(world: World, org_id: str) -> None:
    prod, other = with_kafka(world, "prod"), with_kafka(world, "test")
    value = request_values(world, prod)[0].replace(b'"prod"', b'"stage"')
    assert other.records is not None

    other.records.accept(records([value]))

    assert other.synchronisation.run_batch().by_code == {"kafka.institution_unknown": 1}
    (dead,) = world.database.messages.find()
    assert (dead["orgId"], dead["env"]) == ("unknown", "unknown"), "what is not configured is not repeated"


def test_another_environments_dead_letters_are_not_touched(
    org_id: str, world: World, prod: Bridge, other: Bridge
) -> None:
    world.control.add_request(org_id, oddity="no_flow")
    world.carry(prod)
    everything = DeadLetterFilter()
    assert prod.dead_letters.find(everything, 10).found == 1

    assert other.dead_letters.find(everything, 10).found == 0
    assert other.dead_letters.discard(everything, ORDER).changed == 0
    assert other.dead_letters.replay(everything, ORDER).changed == 0

    assert prod.dead_letters.discard(everything, ORDER).changed == 1


def test_another_environments_finished_documents_are_not_pruned(world: World, prod: Bridge, other: Bridge) -> None:
    world.carry(prod)
    world.database.processed_messages.update_many({}, {"$set": {"finishedAt": LONG_AGO}})
    world.database.audit_log.update_many({}, {"$set": {"time": LONG_AGO}})
    world.database.received_keys.update_many({}, {"$set": {"firstSeen": LONG_AGO}})
    prod.alerts.enqueue(alert(f"{world.control.cases()[0]['orgId']}/prod"))
    world.database.alerts.update_many({}, {"$set": {"state": "sent", "settledAt": LONG_AGO}})

    report = other.retention.prune(dry_run=False, asked_by="a test")
    assert report.removed == 0
    removed = {
        removal.what: removal.removed for removal in prod.retention.prune(dry_run=False, asked_by="a test").removals
    }
    assert removed["processed_messages"] == removed["received_keys"] == 2 * REQUESTS
    assert removed["alerts"] == 1
