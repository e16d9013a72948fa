"""Two environments on one database. A process does not touch what belongs to the other one, and nothing of it is lost.

Each test has the same institutions, of `prod`. One process serves `prod`, the other one `test`.
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
from resources.wiring.process import Process
from sensors.backlog import read_backlog
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import read_requests
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
def prod(world: World, org_id: str) -> Process:
    world.configure(environment="prod")
    return world.process()


@pytest.fixture
def other(world: World, prod: Process) -> Process:
    world.configure(environment=" Test")
    return world.process()


@pytest.fixture
def everybody(world: World, prod: Process) -> Process:
    world.configure()
    return world.process()


def alert(institution: str, code: str = "fs.http_503") -> Alert:
    return Alert(institution, institution, "a poll", "poll", code, "FS failed.", "Nothing to do.")


def test_another_environments_messages_are_not_claimed(world: World, prod: Process, other: Process) -> None:
    read_requests(prod, prod.stores.institutions.active())
    assert other.stores.institutions.active() == []

    assert other.synchronisation.run_batch().handled == 0
    assert other.stores.queue.claim("a worker", 100) == []
    assert not other.stores.queue.is_due(AT_ONCE)
    assert not read_backlog(other).batch_needed
    assert read_backlog(prod).batch_needed

    assert world.database.messages.count_documents({"status": "enqueued", "attempts": 0}) == REQUESTS
    world.carry(prod)
    check_everything(world, REQUESTS)


def test_a_listener_of_another_environment_does_not_count(prod: Process, other: Process, everybody: Process) -> None:
    """The sensors of `prod` must not wait because a listener of another environment is alive."""
    read_requests(prod, prod.stores.institutions.active())
    other.register_listener(other.listener())
    assert read_backlog(prod).batch_needed
    assert read_backlog(everybody).batch_needed

    everybody.register_listener(everybody.listener())
    assert not read_backlog(prod).batch_needed
    assert prod.operators.status.listeners_alive() == 2, "status shows all"


def test_another_environments_pause_is_not_probed(org_id: str, world: World, prod: Process, other: Process) -> None:
    refused = AuthBrokenError("fs.credentials_refused", "FS refused the credentials.", "Renew them.", system="FS")
    prod.stores.pauses.pause(f"{org_id}/prod", "WISEFLOW", refused)
    world.database.pauses.update_many({}, {"$set": {"tryAt": datetime(2026, 1, 8, tzinfo=UTC)}})

    other.platform.probes.run_due()
    (pause,) = other.stores.pauses.all()
    assert pause.probes == 0, "neither lifted nor used up"

    prod.platform.probes.run_due()
    assert prod.stores.pauses.all() == []


def test_another_environments_alerts_are_not_sent(org_id: str, world: World, prod: Process, other: Process) -> None:
    for number in range(12):
        prod.stores.alerts.enqueue(alert(f"{org_id}/prod", f"code.{number}"))
    assert other.relay.send_alerts() == 0
    other.stores.alerts.enqueue(alert("dagster"))
    other.stores.alerts.enqueue(alert("uis.no/test"))

    assert other.relay.send_alerts() == 2, "its own, and what is anybody's; a crowd of the others is not in the way"
    assert prod.stores.alerts.pending() == 12
    sent = 0
    while some := prod.relay.send_alerts():
        sent += some
    assert sent == 12


def test_another_environments_effects_are_not_delivered(world: World, prod: Process, other: Process) -> None:
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
def test_any_process_handles_a_message_without_an_environment(
    changed: dict[str, Any], world: World, other: Process
) -> None:
    """It must not wait for ever because each process takes it for another's."""
    message = NewMessage("key", "no such queue", "uis.no", "prod", "case", "correlation", {}, exam_system="WISEFLOW")
    world.database.messages.insert_one({**message.document(other.stores.clock.now()), **changed})

    other.synchronisation.run_batch()

    assert world.database.messages.count_documents({"status": "dead"}) == 1, "set aside, in sight"


def test_a_process_that_serves_all_environments_handles_all(world: World, everybody: Process) -> None:
    world.carry(everybody)
    check_everything(world, REQUESTS)


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Effects for Kafka stay pending, and no broker is called. Only the inbox is tested here."""

    def deliver_nothing(_channel: KafkaChannel, effects: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        return {effect["id"]: "kafka.unreachable" for effect in effects}

    monkeypatch.setattr(KafkaChannel, "deliver", deliver_nothing)


def with_kafka(world: World, environment: str) -> Process:
    world.configure(environment=environment, kafka={"bootstrap_servers": "127.0.0.1:1"})
    return world.process()


def records(values: list[bytes]) -> list[Record]:
    now = datetime.now(UTC)
    return [Record("begrunnelse-forespoersel", None, 0, place, now, None, value) for place, value in enumerate(values)]


@pytest.mark.usefixtures("no_broker")
def test_another_environments_kafka_records_are_handled_by_it(world: World, org_id: str) -> None:
    """The environments share a consumer group. Any of them stores a record in the inbox; the one that serves it handles it."""
    prod, other = with_kafka(world, "prod"), with_kafka(world, "test")
    values = request_values(world, prod)
    assert other.kafka.records is not None

    other.kafka.records.accept(records(values))
    assert other.synchronisation.run_batch().handled == 0
    assert (
        world.database.messages.count_documents({"institution": f"{org_id}/prod", "queue": "kafka-record"}) == REQUESTS
    )

    assert prod.synchronisation.run_batch().by_status == {"processed": 2 * REQUESTS}
    world.carry(prod)
    assert world.control.summary()["registered"] == REQUESTS
    assert world.control.slack_messages() == []


@pytest.mark.usefixtures("no_broker")
def test_a_kafka_record_of_an_unknown_environment_is_set_aside(world: World, org_id: str) -> None:
    prod, other = with_kafka(world, "prod"), with_kafka(world, "test")
    value = request_values(world, prod)[0].replace(b'"prod"', b'"stage"')
    assert other.kafka.records is not None

    other.kafka.records.accept(records([value]))

    assert other.synchronisation.run_batch().by_code == {"kafka.institution_unknown": 1}
    (dead,) = world.database.messages.find()
    assert (dead["orgId"], dead["env"]) == ("unknown", "unknown"), "what is not configured is not repeated"


def test_another_environments_dead_letters_are_not_touched(
    org_id: str, world: World, prod: Process, other: Process
) -> None:
    world.control.add_request(org_id, oddity="no_flow")
    world.carry(prod)
    everything = DeadLetterFilter()
    assert prod.operators.dead_letters.find(everything, 10).found == 1

    assert other.operators.dead_letters.find(everything, 10).found == 0
    assert other.operators.dead_letters.discard(everything, ORDER).changed == 0
    assert other.operators.dead_letters.replay(everything, ORDER).changed == 0

    assert prod.operators.dead_letters.discard(everything, ORDER).changed == 1


def test_another_environments_finished_documents_are_not_pruned(world: World, prod: Process, other: Process) -> None:
    world.carry(prod)
    world.database.processed_messages.update_many({}, {"$set": {"finishedAt": LONG_AGO}})
    world.database.audit_log.update_many({}, {"$set": {"time": LONG_AGO}})
    world.database.received_keys.update_many({}, {"$set": {"firstSeen": LONG_AGO}})
    prod.stores.alerts.enqueue(alert(f"{world.control.cases()[0]['orgId']}/prod"))
    world.database.alerts.update_many({}, {"$set": {"state": "sent", "settledAt": LONG_AGO}})

    report = other.operators.retention.prune(dry_run=False, asked_by="a test")
    assert report.removed == 0
    removed = {
        removal.what: removal.removed
        for removal in prod.operators.retention.prune(dry_run=False, asked_by="a test").removals
    }
    assert removed["processed_messages"] == removed["received_keys"] == 2 * REQUESTS
    assert removed["alerts"] == 1
