"""Stored times far in the future: nothing waits for one for ever, and nothing believes one for ever.

The times of messages have their own tests (`tests/contract/queue/test_queue_far_times.py`), and so have those of pauses and
watermarks (`tests/integration/exams/test_malformed_rows.py`).
"""

from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any, Final

import pytest

from casebridge.alerts.alert import Alert
from casebridge.database import Document
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from sensors.backlog import read_backlog
from tests.integration.exams.test_between_two_polls import ALL, read
from tests.integration.exams.test_malformed_rows import changed
from tests.integration.messaging.test_foreign_messages import message
from tests.support.absent import ABSENT
from tests.support.added_cases import add, case_of, ours
from tests.support.explanation_rounds import read_requests
from tests.support.malformed_world import settled
from tests.support.world import World

YEAR_9999: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
YEAR_2100: Final = datetime(2100, 1, 1, tzinfo=UTC)
ALERT: Final = Alert("uis.no/test", "uis.no", "a poll", "poll", "fs.http_503", "FS failed.", "Nothing to do.")
EFFECT: Final = {"id": "e1", "kind": "alert", "body": ALERT.body()}
TIMES: Final[dict[str, tuple[str, ...]]] = {
    "messages": (
        "enqueuedAt", "dueAt", "startedAt", "effectsDueAt", "processingAt", "finishedAt", "discardedAt", "replayedAt",
        "undeliveredAt",
    ),
    "processed_messages": ("enqueuedAt", "startedAt", "finishedAt", "effectsDueAt", "undeliveredAt"),
    "lanes": ("wokenAt",),
    "cases": (
        "openedAt", "reopenedAt", "dispatchedAt", "registeredAt", "shownAt", "withdrawnAt", "setAsideAt", "discardedAt",
        "answerSeenAt", "answerGivenAt", "answerLeftAt", "openAgainAt", "askedOn", "deadline", "deadlineToldAt", "rowGoneToldAt",
    ),
    "watermarks": ("siden", "updated"),
    "alerts": ("openedAt", "lastAt", "dueAt", "settledAt"),
    "listeners": ("seenAt",),
    "received_keys": ("firstSeen",),
    "audit_log": ("time",),
}  # fmt: skip
"""Every field with a time in stored documents, without the configuration."""
FIELDS: Final = [(collection, field) for collection, fields in TIMES.items() for field in fields]
HALF: Final = -(-len(FIELDS) // 2)
TWO_AT_ONCE: Final = list(zip_longest(FIELDS[:HALF], FIELDS[HALF:], fillvalue=FIELDS[0]))
"""Pairs of a document and one of another collection."""


@pytest.fixture
def process(world: World) -> Process:
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    return world.process()


def set_all(world: World, collection: str, field: str, value: object) -> None:
    """Set the time in every document, whether it has that field or not."""
    found = getattr(world.database, collection)
    for document in list(found.find()):
        found.replace_one({"_id": document["_id"]}, changed(document, field, value))


def is_answered_or_reported(world: World) -> bool:
    unanswered = [case for case in world.control.cases() if case["state"] != "registered"]
    return not unanswered or world.database.alerts.count_documents({"code": "casebridge.case_unreadable"}) > 0


@pytest.mark.parametrize("times", TWO_AT_ONCE, ids=str)
def test_whichever_time_is_far_ahead_each_request_is_answered_or_reported(
    times: tuple[tuple[str, str], ...], world: World, process: Process
) -> None:
    """One request is dispatched, one is in the queue, and the last comes later, in another process."""
    world.control.assessors(paused=True)
    world.send(process)
    add(world)
    read_requests(process, process.stores.institutions.active())
    process.register_listener(process.listener())
    for collection, field in times:
        set_all(world, collection, field, YEAR_9999)
    add(world)
    process = world.process()

    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)
    world.carry_until(process, lambda: is_answered_or_reported(world) and settled(world), "each is answered or told of")
    process.relay.deliver_left_behind()
    process.relay.send_alerts()

    assert process.stores.alerts.pending() == 0
    assert process.operators.completeness.account().lost == 0


def test_every_stored_time_is_tested(world: World, process: Process) -> None:
    world.control.faults({"system": "laas", "kind": "status", "status": 503})
    first, second = add(world), add(world)
    world.carry(process)
    world.control.withdraw(first["caseId"], how="reopened")
    world.control.withdraw(second["caseId"], how="removed")
    world.database.cases.update_one({"state": "registered"}, {"$set": {"deadline": datetime(2026, 1, 8, tzinfo=UTC)}})
    read(process, reach_back=ALL)
    add(world)
    read(process)
    process.register_listener(process.listener())
    for collection, fields in TIMES.items():
        documents: list[Document] = list(getattr(world.database, collection).find())
        assert documents, collection
        times = {name for each in documents for name, value in each.items() if isinstance(value, datetime)}
        assert times <= set(fields), collection


@pytest.mark.parametrize("processed", [False, True], ids=["of a dead message", "of a processed message"])
def test_effects_that_are_due_far_ahead_are_delivered(processed: bool, world: World, process: Process) -> None:
    collection = process.stores.database.processed_messages if processed else process.stores.database.messages
    status = "processed" if processed else "dead"
    owing = changed(message(process, "owing", status=status, effects=[EFFECT], effectsDueAt=YEAR_2100), "dueAt", ABSENT)
    collection.insert_one(owing)

    assert process.relay.deliver_left_behind() == 1

    found = collection.find_one({"_id": "owing"}) or {}
    assert found["effects"] == []
    assert "effectsDueAt" not in found
    assert world.database.alerts.count_documents({"code": ALERT.code}) == 1


def test_an_alert_that_is_due_far_ahead_is_sent(world: World, process: Process) -> None:
    process.stores.alerts.enqueue(ALERT)
    world.database.alerts.update_many({}, {"$set": {"dueAt": YEAR_2100}})
    assert process.relay.send_alerts() == 1
    assert process.stores.alerts.pending() == 0


@pytest.mark.parametrize("far", [YEAR_2100, timedelta(hours=1)], ids=["2100", "an hour"])
def test_a_listener_with_a_heartbeat_in_the_future_does_not_count_as_alive(
    far: Any, world: World, process: Process
) -> None:
    process.register_listener(process.listener())
    assert process.operators.status.listeners_alive() == 1
    seen_at = process.stores.clock.now() + far if isinstance(far, timedelta) else far
    world.database.listeners.update_many({}, {"$set": {"seenAt": seen_at}})
    read_requests(process, process.stores.institutions.active())

    assert process.operators.status.listeners_alive() == process.operators.status.read().listeners == 0
    assert read_backlog(process).batch_needed


@pytest.mark.parametrize("seconds", [-5, 0, 30])
def test_the_clocks_of_two_processes_may_differ_a_little(seconds: int, world: World, process: Process) -> None:
    process.register_listener(process.listener())
    seen_at = process.stores.clock.now() + timedelta(seconds=seconds)
    world.database.listeners.update_many({}, {"$set": {"seenAt": seen_at}})
    assert process.operators.status.listeners_alive() == 1


@pytest.mark.parametrize("field", ["answerSeenAt", "answerGivenAt"])
def test_an_answer_that_was_seen_far_ahead_is_not_newer_than_every_other(
    field: str, world: World, process: Process
) -> None:
    world.carry(process)
    case = world.control.cases()[0]
    known = changed(ours(world, case), "answerSeenAt", ABSENT)
    world.database.cases.replace_one({"_id": known["_id"]}, {**known, field: YEAR_2100})
    world.control.change_answer(case["explanationRequestId"], "Ny begrunnelse.")

    world.synchronise(process, also_answered=True)

    assert case_of(world, case)["registrations"] == 2
    found = ours(world, case)
    assert found["registeredHash"] != known["registeredHash"]
    assert found["answerSeenAt"] <= process.stores.clock.now()


@pytest.mark.parametrize("registered_at", [ABSENT, None, "yesterday", YEAR_9999], ids=str)
def test_a_case_without_the_time_of_its_registration_is_compared_and_polled(
    registered_at: object, world: World, process: Process
) -> None:
    world.carry(process)
    (institution,) = process.stores.institutions.active()
    now = process.stores.clock.now()
    assert process.capability(Explanations).cases.exams_to_compare(institution, now) == set()
    assert process.capability(Explanations).cases.awaiting_answer(institution.key, now) == []
    case = world.control.cases()[0]
    known = ours(world, case)
    world.database.cases.replace_one({"_id": known["_id"]}, changed(known, "registeredAt", registered_at))

    assert process.capability(Explanations).cases.exams_to_compare(institution, now) == {known["vurdId"]}
    (watched,) = process.capability(Explanations).cases.awaiting_answer(institution.key, now)
    assert watched["_id"] == known["_id"]

    world.control.change_answer(case["explanationRequestId"], "Ny begrunnelse.")
    world.synchronise(process, also_answered=True)
    assert case_of(world, case)["registrations"] == 2
    assert ours(world, case)["registeredAt"] <= process.stores.clock.now(), "a registration says it anew"


@pytest.mark.parametrize("registered_at", [None, "yesterday", YEAR_9999], ids=str)
def test_a_corrected_reopened_case_is_registered_again(registered_at: object, world: World, process: Process) -> None:
    world.carry(process)
    case = world.control.cases()[0]
    known = ours(world, case)
    world.database.cases.update_one({"_id": known["_id"]}, {"$set": {"registeredAt": registered_at}})
    world.control.withdraw(case["caseId"], how="reopened")
    read(process, reach_back=ALL)
    world.carry(process)
    assert case_of(world, case)["state"] != "registered"
    (alert,) = world.database.alerts.find({"code": "casebridge.case_unreadable"})
    assert alert["correlationIds"] == [known["correlationId"]]

    world.database.cases.replace_one({"_id": known["_id"]}, known)
    read(process, reach_back=ALL)
    world.carry(process)

    assert case_of(world, case)["state"] == "registered"


def test_a_deadline_marked_as_alerted_in_the_future_is_alerted(world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    world.send(process)
    passed = {"deadline": datetime(2026, 1, 8, tzinfo=UTC), "deadlineToldAt": YEAR_2100}
    world.database.cases.update_many({}, {"$set": passed})

    for _ in range(2):
        read(process)

    (alert,) = world.database.alerts.find({"code": "case.deadline_passed"})
    assert len(alert["correlationIds"]) == 2
    assert all(case["deadlineToldAt"] <= process.stores.clock.now() for case in world.database.cases.find())
