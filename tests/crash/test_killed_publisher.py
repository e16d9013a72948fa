"""A listener dies, or meets a defect, when Kafka has a record and its effect is still pending: it is sent again with one id."""

import json
from typing import Any

import pytest

from casebridge.crash_points import PRODUCER_CRASH_POINTS
from tests.crash.test_killed_listener import carry_to_the_end
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.kafka_broker import Broker, Topic, headers_of, kafka_settings
from tests.support.processes import Crash, Processes
from tests.support.waiting import wait_until
from tests.support.world import World

REQUESTS = 3


@pytest.mark.parametrize("kind", ["kill", "exception"])
@pytest.mark.parametrize("point", PRODUCER_CRASH_POINTS)
def test_a_publication_may_be_repeated_and_is_never_lost(
    point: str, kind: str, broker: Broker, world: World, processes: Processes
) -> None:
    world.configure(kafka=kafka_settings(broker.address), queue={"lease_seconds": 1.0})
    world.populate(institutions=1, courses=1, requests=REQUESTS, variety=False)
    process = world.process()
    read_requests(process, process.stores.institutions.active())
    process.synchronisation.run_batch()
    world.control.wait("answered", REQUESTS)
    poll_answers(process, process.stores.institutions.active())

    if kind == "kill":
        processes.crashed_listener(Crash(point))
        processes.listener()
    else:
        listener = processes.listener(crash=Crash(point, kind=kind))
        wait_until(lambda: "SimulatedCrashError" in listener.log.read_text(), "the defect was met")

    carry_to_the_end(world)
    check_everything(world, REQUESTS)
    values_by_effect = records_by_effect(Topic(broker.address, world.settings.kafka.explanation_answers_topic))
    assert len(values_by_effect) == REQUESTS
    assert len({value["correlationId"] for value in values_by_effect.values()}) == REQUESTS


def records_by_effect(answers: Topic) -> dict[str, Any]:
    """The value of each effect. A record that was sent again must have the same value."""
    values_by_effect: dict[str, Any] = {}
    records = answers.read(2 * REQUESTS, seconds=2.0)
    for record in records:
        value = json.loads(record.value)
        assert values_by_effect.setdefault(headers_of(record)["casebridge_effect-id"], value) == value
    assert REQUESTS < len(records) <= 2 * REQUESTS, "what was published before the crash was published again"
    return values_by_effect
