"""Requests and events that come by Kafka, through real processes and simulators, to FS and to Kafka's own topics."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from casebridge.exams.explanations import answer_poller, explanation_event_record, request_reader
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from casebridge.sources.dead_record import dead_letter_topic
from casebridge.sources.record_inbox import QUEUE as UNREADABLE
from command_line.output import ExitCode
from resources.kafka.topics import topics_of
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.support.end_state import check_everything, check_registrations
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.failures import check_set_aside
from tests.support.kafka_broker import Broker, Topic, headers_of, kafka_settings
from tests.support.kafka_requests import request_values
from tests.support.personal_values import MARK, PersonalValues
from tests.support.processes import Processes
from tests.support.waiting import wait_until
from tests.support.world import World

REQUESTS = 6

# kafka-python leaves the sockets of refused connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


class KafkaWorld:
    """A world whose FS also sends by Kafka, with the topics at both ends."""

    def __init__(self, world: World, address: str) -> None:
        self.world = world
        self.kafka = world.settings.kafka
        self.process = world.process()
        self.requests = Topic(address, self.kafka.explanation_requests_topic)
        self.events = Topic(address, self.kafka.wiseflow_events_topic)
        self.answers = Topic(address, self.kafka.explanation_answers_topic)
        self.dead_requests = Topic(address, dead_letter_topic(self.requests.name))
        with topics_of(self.kafka) as topics:
            topics.ensure()

    def accepted(self, topic: Topic, count: int) -> None:
        wait_until(lambda: sum(topic.committed(self.kafka.group).values()) == count, f"{count} records are accepted")

    def handle(self) -> int:
        """Run a batch of the queue, and deliver its effects."""
        return self.process.synchronisation.run_batch().handled

    def read_fs(self) -> int:
        return read_requests(self.process, self.process.stores.institutions.active()).accepted

    def poll(self) -> int:
        return poll_answers(self.process, self.process.stores.institutions.active()).accepted

    def messages(self, queue: str) -> list[dict[str, Any]]:
        live = list(self.world.database.messages.find({"queue": queue}))
        return live + list(self.world.database.processed_messages.find({"queue": queue}))

    def event_of(self, case: dict[str, Any], sequence_number: int) -> bytes:
        """An event of WISEflow's webhook about a case, with the fields that Sikt adds."""
        content = {name: case[name] for name in ("flowId", "explanationRequestId", "participantId")}
        envelope = {"assessorId": 1, "callTime": 1768470131, "timestamp": 1768470130, "sequenceNumber": sequence_number}
        return json.dumps(
            {**content, **envelope, "org": case["orgId"], "env": "test", "examSystem": "WISEFLOW"}
        ).encode()


@pytest.fixture
def kafka_world(broker: Broker, world: World) -> Callable[..., KafkaWorld]:
    def build(*, kafka: dict[str, Any] | None = None, **order: Any) -> KafkaWorld:
        world.configure(kafka=kafka_settings(broker.address, **(kafka or {})))
        world.populate(**{"institutions": 2, "courses": 2, "requests": REQUESTS, "variety": False, **order})
        return KafkaWorld(world, broker.address)

    return build


def test_a_request_travels_from_kafka_to_fs_and_its_outcome_back_to_kafka(
    kafka_world: Callable[..., KafkaWorld], processes: Processes, world: World
) -> None:
    way = kafka_world()
    way.requests.send(*request_values(world, way.process))
    consumer, listener = processes.consumer(), processes.listener()
    world.control.wait("answered", REQUESTS)

    def everything_is_registered() -> bool:
        way.poll()
        return world.control.summary()["outstanding"] == 0 and world.database.messages.count_documents({}) == 0

    wait_until(everything_is_registered, "everything is registered", every=0.1)
    assert {consumer.stop(), listener.stop()} == {0}
    check_everything(world, REQUESTS)
    check_answers(world, way.answers.read(REQUESTS))
    offsets = {entry["kafkaOffset"] for entry in world.audit(submodule=request_reader.QUEUE, step="received")}
    assert offsets == set(range(REQUESTS))


def check_answers(world: World, records: list[Any]) -> None:
    """Each case has one record, under the case's key, with its ids and its date, but without text and names."""
    cases = {(case["orgId"], case["examId"], case["personlopenr"]): case for case in world.control.cases()}
    content = {record.key.decode(): json.loads(record.value) for record in records}
    assert set(content) == {f"{org_id}|{exam_id}|{person}" for org_id, exam_id, person in cases}
    for (org_id, exam_id, person), case in cases.items():
        answer = content[f"{org_id}|{exam_id}|{person}"]
        mine = world.database.cases.find_one({"vurdId": exam_id, "personlopenr": person})
        assert mine is not None
        assert answer["outcome"] == "registered"
        assert answer["correlationId"] == mine["correlationId"]
        assert answer["datoVedtakFormidlet"] == case["datoVedtakFormidlet"]
        assert (answer["flowId"], answer["explanationRequestId"]) == (case["flowId"], case["explanationRequestId"])
    values = PersonalValues(
        world, [json.loads(value)["begrunnelse"] for value in request_values(world, world.process())]
    )
    for record in records:
        assert values.found_in(record.value.decode()) == {}


def test_a_request_that_comes_by_fs_and_by_kafka_is_one_case_and_one_message(
    kafka_world: Callable[..., KafkaWorld], processes: Processes, world: World
) -> None:
    way = kafka_world()
    values = request_values(world, way.process)
    way.requests.send(*values[: REQUESTS // 2])
    processes.consumer()
    way.accepted(way.requests, REQUESTS // 2)

    assert way.read_fs() == REQUESTS - REQUESTS // 2
    way.requests.send(*values)
    way.accepted(way.requests, REQUESTS // 2 + REQUESTS)

    assert len(way.messages(request_reader.QUEUE)) == REQUESTS
    assert world.database.cases.count_documents({}) == REQUESTS
    assert world.database.received_keys.count_documents({}) == REQUESTS


def test_a_record_neither_finishes_nor_reopens_a_case(
    kafka_world: Callable[..., KafkaWorld], processes: Processes, world: World
) -> None:
    """A record may be years old. Only FS says that a request is finished or open again."""
    way = kafka_world(institutions=1, courses=1, requests=2)
    values = [json.loads(value) for value in request_values(world, way.process)]
    finished = {**values[0], "begrunnelse": {**values[0]["begrunnelse"], "datoVedtakFormidlet": "2026-01-15"}}
    processes.consumer()
    way.requests.send(json.dumps(finished).encode())
    way.accepted(way.requests, 1)
    assert world.database.cases.count_documents({}) == 0

    way.requests.send(*(json.dumps(value).encode() for value in values))
    way.accepted(way.requests, 3)
    way.handle()
    way.process.capability(Explanations).cases.withdraw([case["_id"] for case in world.database.cases.find()])
    way.requests.send(*(json.dumps(value).encode() for value in [*values, finished]))
    way.accepted(way.requests, 6)

    assert {case["state"] for case in world.database.cases.find()} == {"withdrawn"}
    assert len(way.messages(request_reader.QUEUE)) == 2
    assert way.messages(UNREADABLE) == []


LARGEST = 4000
FOREIGN_EXAM = "OTk5fHxEQVQyMDB8fDF8fFN8fDIwMjV8fEjDmFNU"
"""The key is `999||DAT200||1||S||2025||HØS`, of no institution here."""
Change = Callable[[dict[str, Any]], bytes]
BAD_RECORDS: dict[str, tuple[Change, str]] = {
    "not text": (lambda _value: b"\xff\xfe" + MARK.encode(), "kafka.record_unreadable"),
    "not an object": (lambda _value: json.dumps([MARK]).encode(), "kafka.record_unreadable"),
    "nothing": (lambda _value: b"", "kafka.record_unreadable"),
    "deep": (lambda _value: b"[" * (LARGEST - 1), "kafka.record_unreadable"),
    "fields missing": (lambda value: as_record(value, begrunnelse={"navn": MARK}), "kafka.record_unreadable"),
    "a number too large": (
        lambda value: as_record(value, begrunnelse={**value["begrunnelse"], "personlopenr": 10**30}),
        "kafka.record_unreadable",
    ),
    "an exam that is none": (lambda value: as_record(value, vurdId=MARK), "kafka.record_unreadable"),
    "a foreign exam": (lambda value: as_record(value, vurdId=FOREIGN_EXAM), "kafka.exam_of_another_institution"),
    "nobody's": (lambda value: as_record(value, orgId="nobody.no"), "kafka.institution_unknown"),
    "another exam system's": (lambda value: as_record(value, examSys="INSPERA"), "kafka.institution_unknown"),
    "too large": (lambda value: as_record(value, filler="x" * LARGEST), "kafka.record_too_large"),
}


def as_record(value: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**value, **changes}).encode()


def test_unreadable_records_are_dead_and_alerted_and_block_no_other(
    kafka_world: Callable[..., KafkaWorld], world: World, processes: Processes
) -> None:
    way = kafka_world(kafka={"maximum_record_bytes": LARGEST})
    good = request_values(world, way.process)
    bad = [make(json.loads(good[0])) for make, _ in BAD_RECORDS.values()]
    consumer = processes.consumer()

    way.requests.send(good[0], *bad, *good[1:], key=b"k")
    way.accepted(way.requests, len(good) + len(bad))
    wait_until(lambda: way.handle() == 0, "nothing is left to do")

    codes = [code for _, code in BAD_RECORDS.values()]
    for code in set(codes):
        check_set_aside(world, code, "read_record", messages=codes.count(code))
    assert world.control.summary()["dispatched"] == REQUESTS
    letters = way.dead_requests.read(len(bad))
    assert sorted(letter.value or b"" for letter in letters) == sorted([*bad[:-1], b""]), (
        "as they came, but for the large one"
    )
    offsets = {int(headers_of(letter)["kafka_dlt-original-offset"]) for letter in letters}
    assert offsets == set(range(1, len(bad) + 1))
    alerts = list(world.database.alerts.find({}, {"_id": 0}))
    content = json.dumps([alerts, world.audit(success=False)], default=str) + consumer.log.read_text()
    assert MARK not in content + "".join(str(headers_of(letter)) for letter in letters)


def test_a_replay_handles_an_unreadable_record_once_its_cause_is_gone(
    kafka_world: Callable[..., KafkaWorld], processes: Processes, world: World
) -> None:
    """An institution is activated after its first request came. A replay before that is alerted again."""
    way = kafka_world(institutions=1, courses=1, requests=1)
    (value,) = request_values(world, way.process)
    world.database.environments.update_one({}, {"$set": {"begrunnelse": False}})
    processes.consumer()
    way.requests.send(value)
    way.accepted(way.requests, 1)
    way.process = world.process()
    for times in (1, 2):
        way.handle()
        check_set_aside(world, "kafka.institution_unknown", "read_record")
        assert len(way.dead_requests.read(times)) == times
        assert replay(way.process, "kafka.institution_unknown") == 1

    world.database.environments.update_one({}, {"$set": {"begrunnelse": True}})
    wait_until(lambda: way.handle() == 0, "nothing is left to do")

    assert world.control.summary()["dispatched"] == 1
    (unreadable,) = way.messages(UNREADABLE)
    (carried,) = way.messages(request_reader.QUEUE)
    assert unreadable["steps"]["read_record"]["result"]["carriedOnAs"] == carried["correlationId"]
    assert carried["origin"] == unreadable["origin"]
    assert way.read_fs() == 0, "FS brings nothing that is not known"


def replay(process: Process, code: str) -> int:
    order = Order(limit=10, dry_run=False, reason="corrected", asked_by="a test")
    return process.operators.dead_letters.replay(DeadLetterFilter(code=code), order).changed


def test_an_event_registers_the_answer_at_once_and_never_twice(
    kafka_world: Callable[..., KafkaWorld], processes: Processes, world: World
) -> None:
    way = kafka_world(institutions=1, courses=1, requests=2)
    way.read_fs()
    way.handle()
    world.control.wait("answered", 2)
    processes.consumer()

    first, second = world.control.cases()
    stranger = {**first, "participantId": 1}
    way.events.send(
        way.event_of(first, 1), way.event_of(first, 1), way.event_of(first, 2), way.event_of(stranger, 3), b"?"
    )
    way.accepted(way.events, 5)
    wait_until(lambda: way.handle() == 0, "the events are handled, and what they brought")
    assert world.control.summary()["registered"] == 2, "both were on the flow that was looked at"
    assert len(way.messages(explanation_event_record.QUEUE)) == 2, "a re-delivered event is one event"
    check_set_aside(world, "kafka.record_unreadable", "read_record")

    assert way.poll() == 0
    way.events.send(way.event_of(second, 4))
    way.accepted(way.events, 6)
    wait_until(lambda: way.handle() == 0, "nothing is left to do")
    assert len(way.messages(answer_poller.QUEUE)) == 2
    check_registrations(world, 2)
    assert len(way.answers.read(3, seconds=1.0)) == 2


def test_the_status_shows_the_lag_and_that_kafka_is_away(
    own_broker: Broker, world: World, processes: Processes
) -> None:
    world.configure(kafka=kafka_settings(own_broker.address))
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    way = KafkaWorld(world, own_broker.address)
    way.requests.send(b"one", b"two", b"three")

    content = processes.run("status", "--json").json()["kafka"]
    assert (content["away"], content["unread"]) == (None, 3)
    assert {(lag["topic"], lag["unread"]) for lag in content["partitions"]} == {
        (way.requests.name, 3),
        (way.events.name, 0),
    }
    assert way.requests.name in processes.run("status").output
    own_broker.child.kill()
    away = processes.run("status", "--json")
    assert (away.json()["kafka"]["away"], away.exit_code) == ("kafka.unreachable", ExitCode.DONE)


def test_without_a_broker_kafka_is_off(world: World, processes: Processes) -> None:
    world.populate(institutions=1, courses=1, requests=1, variety=False)

    ended = processes.run("consume")

    assert ended.exit_code == ExitCode.MISUSED
    assert "CASEBRIDGE_KAFKA__BOOTSTRAP_SERVERS" in ended.notes
    assert processes.run("status", "--json").json()["kafka"] is None
    assert set(world.process().flows) == {*request_reader.QUEUES, answer_poller.QUEUE}
