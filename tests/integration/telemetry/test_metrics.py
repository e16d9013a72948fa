"""A real listener in a simulated world is scraped, and its metrics are the numbers that the test knows to be right."""

import socket
from collections import Counter

import pytest

from local_servers.child_process import free_port
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.kafka_broker import Broker, kafka_settings
from tests.support.processes import Processes
from tests.support.scraped import Scraped, scrape, scraped_when_open
from tests.support.waiting import wait_until
from tests.support.world import World

REQUESTS = 8
REQUEST_QUEUE = "wiseflow-begrunnelse"
LABELS = {"institution", "queue", "system", "code"}
OF_CONVENTIONS = {
    "messaging_system", "messaging_operation_name", "http_request_method", "http_response_status_code", "le",
    "otel_metric_overflow",
}  # fmt: skip
OF_THE_PROCESS = {
    "service_name", "service_instance_id", "telemetry_sdk_language", "telemetry_sdk_name", "telemetry_sdk_version",
}  # fmt: skip


def carried(world: World, port: int) -> Scraped:
    """The metrics of the listener when every case is registered and everything is delivered."""
    process = world.process()
    institutions = process.stores.institutions.active()
    read_requests(process, institutions)
    wait_until(lambda: world.control.summary()["dispatched"] == REQUESTS, "all are sent")
    wait_until(lambda: not world.database.messages.find_one({}), "that is written down")
    world.control.wait("submitted", REQUESTS)
    poll_answers(process, institutions)
    wait_until(lambda: world.control.summary()["registered"] == REQUESTS, "all are registered")
    wait_until(lambda: not world.database.messages.find_one({}), "the queue is empty")
    wait_until(
        lambda: not world.database.processed_messages.find_one({"effectsDueAt": {"$exists": True}}), "nothing is owed"
    )
    return scrape(port)


def read(world: World) -> None:
    """Read FS into the inbox. The listener handles the messages."""
    process = world.process()
    read_requests(process, process.stores.institutions.active())


def test_the_metrics_of_a_listener_have_what_it_did(world: World, processes: Processes) -> None:
    port = free_port()
    world.configure(telemetry={"metrics_port": port, "queue_read_seconds": 1})
    world.populate(institutions=2, courses=2, requests=REQUESTS)
    listener = processes.listener()

    scraped = carried(world, port)

    for queue in world.database.processed_messages.distinct("queue"):
        done = world.database.processed_messages.count_documents({"queue": queue})
        assert scraped.total("casebridge_messages_processed_total", queue=queue) == done
        assert scraped.total("messaging_process_duration_seconds_count", queue=queue) >= done
        assert scraped.total("messaging_client_consumed_messages_total", queue=queue) >= done
    assert scraped.total("casebridge_messages_processed_total", queue=REQUEST_QUEUE) == REQUESTS
    by_institution = Counter(case["institution"] for case in world.database.cases.find())
    for institution, cases in by_institution.items():
        assert (
            scraped.total("casebridge_messages_processed_total", queue=REQUEST_QUEUE, institution=institution) == cases
        )
    assert scraped.total("http_client_request_duration_seconds_count", system="WISEflow") >= REQUESTS
    assert scraped.total("http_client_request_duration_seconds_count", system="LaaS") == 2 * REQUESTS
    assert scraped.total("casebridge_deliveries_total", system="log_index") == 2 * REQUESTS
    assert scraped.total("casebridge_database_up") == 1
    assert scraped.total("casebridge_messages_dead_total") == 0
    assert scraped.label_names() <= LABELS | OF_CONVENTIONS | OF_THE_PROCESS
    listener.stop()
    with pytest.raises(OSError, match="refused"):
        scrape(port)


def test_the_metrics_count_waiting_and_failed_work_by_code(world: World, processes: Processes) -> None:
    port = free_port()
    world.configure(telemetry={"metrics_port": port, "queue_read_seconds": 1})
    population = world.populate(institutions=1, courses=1, requests=0)
    org_id = population["institutions"][0]["orgId"]
    world.control.add_request(org_id, oddity="no_candidate")
    world.control.add_request(org_id)
    world.control.faults({"system": "laas", "kind": "status", "status": 500, "times": 1000})
    processes.listener()
    read(world)
    wait_until(lambda: world.database.messages.find_one({"status": "dead"}), "one is set aside")

    def scraped_when_done() -> Scraped | None:
        scraped = scrape(port)
        is_over = scraped.total("casebridge_queue_depth") == 0
        is_tried = scraped.total("casebridge_deliveries_total", code="laas.http_500") > 0
        return scraped if is_over and is_tried and scraped.total("casebridge_deliveries_owed") else None

    scraped = wait_until(scraped_when_done, "all is handled, and something is owed")
    assert scraped is not None
    (institution,) = world.database.cases.distinct("institution")
    dead = {"institution": institution, "queue": REQUEST_QUEUE, "system": "WISEFLOW"}
    assert scraped.total("casebridge_queue_dead", **dead) == 1
    assert scraped.total("casebridge_messages_dead_total", code="wiseflow.participant_missing", **dead) == 1
    assert scraped.total("casebridge_deliveries_total", code="laas.http_500", institution=institution) >= 1
    assert scraped.total("http_client_request_duration_seconds_count", system="LaaS", code="500") >= 1


def test_the_metrics_count_dead_messages_and_have_no_foreign_name(world: World, processes: Processes) -> None:
    """Nobody handles these messages: their institution is paused or not configured."""
    port = free_port()
    world.configure(telemetry={"metrics_port": port})
    world.populate(institutions=1, courses=1, requests=1)
    read(world)
    message = world.database.messages.find_one({})
    assert message is not None
    foreign = {
        **message,
        "_id": "foreign",
        "orderingKey": "foreign",
        "institution": "HEMMELIG/prod",
        "queue": "HEMMELIG",
    }
    world.database.messages.delete_one({"_id": message["_id"]})
    world.database.messages.insert_many([{**message, "status": "dead"}, {**foreign, "status": "dead"}])

    processes.listener()
    scraped = scraped_when_open(port)

    assert scraped.total("casebridge_queue_dead") == 2
    assert scraped.total("casebridge_queue_dead", queue="unknown") == 1
    assert "HEMMELIG" not in scraped.text


def test_a_port_in_use_stops_no_listener(world: World, processes: Processes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        world.configure(telemetry={"metrics_port": port})
        world.populate(institutions=1, courses=1, requests=1)
        listener = processes.listener()
        assert "casebridge.metrics_port_closed" in listener.log.read_text()
        read(world)
        wait_until(lambda: world.control.summary()["dispatched"] == 1, "the case is carried all the same")

    scraped = scraped_when_open(port)

    assert scraped.total("casebridge_messages_processed_total", queue=REQUEST_QUEUE) == 1


def test_a_consumer_is_scraped(world: World, processes: Processes, broker: Broker) -> None:
    port = free_port()
    world.configure(telemetry={"metrics_port": port}, kafka=kafka_settings(broker.address))
    world.populate(institutions=1, courses=1, requests=0)
    processes.consumer()
    assert scraped_when_open(port).total("casebridge_database_up") == 1
