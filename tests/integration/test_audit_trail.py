"""The audit tells the whole road of a case, from FS's request to FS's answer, with the fields of contract 2.2, once."""

import pytest

from casebridge.audit.log import AuditLog
from casebridge.exams import answer_poller, request_reader
from resources.bridge import Bridge
from tests.ledger import check_everything
from tests.world import World

FIELDS = {
    "env", "errorMessage", "examSys", "instance", "kafkaOffset", "kandidatnr", "klagestatus", "orgId", "personlopenr",
    "submodule", "success", "testId", "userCandidateId", "vurdId",
}  # fmt: skip
"""Contract 2.2: the columns of the log overview."""
REQUESTS = 6


@pytest.fixture
def carried(world: World) -> Bridge:
    world.populate(institutions=4, courses=4, requests=REQUESTS)
    bridge = world.bridge()
    world.carry(bridge)
    check_everything(world, REQUESTS)
    return bridge


def test_every_entry_has_the_fields_of_the_log_overview(world: World, carried: Bridge) -> None:
    entries = world.audit()
    assert len(entries) >= 7 * REQUESTS
    cases = {case["correlationId"]: case for case in world.database.cases.find()}
    for entry in entries:
        assert set(entry) >= FIELDS
        case = cases[entry["correlationId"]]
        for name in ("orgId", "env", "vurdId", "personlopenr", "kandidatnr"):
            assert entry[name] == case[name]
        assert entry["examSys"] == "WISEFLOW"
        assert entry["success"] is True
        assert entry["errorMessage"] is None


def test_steps_name_their_ids_in_the_exam_system(world: World, carried: Bridge) -> None:
    for row in world.control.cases():
        case = world.database.cases.find_one({"vurdId": row["examId"], "personlopenr": row["personlopenr"]})
        assert case is not None
        entries = {entry["step"]: entry for entry in world.audit(correlationId=case["correlationId"])}
        asked = entries["request_explanation"]
        assert asked["detail"]["explanationRequestId"] == row["explanationRequestId"]
        assert (asked["testId"], asked["userCandidateId"]) == (row["flowId"], row["participantId"])
        assert entries["register_explanation"]["testId"] == row["flowId"]
        assert entries["register_explanation"]["durationMs"] >= 0


def test_the_text_of_an_answer_is_neither_in_the_audit_nor_in_what_is_kept_of_its_message(
    world: World, carried: Bridge
) -> None:
    for collection in (world.database.audit_log, world.database.processed_messages, world.database.cases):
        assert "Begrunnelsen gjelder besvarelse" not in str(list(collection.find()))
    fetched = world.audit(step="fetch_answer")
    assert all(len(entry["detail"]["textHash"]) == 64 for entry in fetched)


def test_the_two_ways_of_a_case_bear_one_correlation_id_that_tells_nothing(world: World, carried: Bridge) -> None:
    ids = set()
    for case in world.database.cases.find():
        submodules = set(world.database.audit_log.distinct("submodule", {"correlationId": case["correlationId"]}))
        assert submodules == {request_reader.QUEUE, answer_poller.QUEUE}
        assert case["correlationId"] not in case["_id"]
        ids.add(case["correlationId"])
    assert len(ids) == REQUESTS

    first = {case["_id"] for case in world.database.cases.find()}
    for forgotten in (world.database.cases, world.database.received_keys, world.database.watermarks):
        forgotten.delete_many({})
    world.populate(institutions=4, courses=4, requests=REQUESTS)
    bridge = world.bridge()
    read = bridge.synchronisation.read_requests(bridge.institutions.active())
    assert (read.institutions, read.seen, read.failed) == (4, REQUESTS, {})
    again = list(world.database.cases.find())
    assert {case["_id"] for case in again} == first, "a case's own id is derived from what it is about"
    assert not ids & {case["correlationId"] for case in again}, "its correlation id is drawn"


def test_nothing_changes_or_removes_an_entry(world: World, carried: Bridge) -> None:
    before = world.audit()
    carried.audit.add([])
    for message in world.database.processed_messages.find():
        del message["settledFence"]
        world.database.messages.insert_one({**message, "status": "enqueued", "dueAt": message["enqueuedAt"]})
    carried.synchronisation.run_batch()
    world.synchronise(carried, also_answered=True)

    assert world.audit() == before
    assert {name for name in vars(AuditLog) if not name.startswith("_")} == {
        "add", "of_case", "failures_since", "counts_since",
    }  # fmt: skip
