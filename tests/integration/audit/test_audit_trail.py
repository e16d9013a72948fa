"""The audit has the whole history of a case once, from the request in FS to the answer in FS, with the fields of contract 2.2."""

from typing import Any

import pytest

from casebridge.audit.log import AuditLog
from casebridge.exams.explanations import answer_poller, request_reader
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.wiring.process import Process
from tests.soak.checks import count_all
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import read_requests
from tests.support.read_only_steps import READ_ONLY_STEPS, READ_ONLY_STEPS_BEFORE
from tests.support.world import World

FIELDS = {
    "env", "errorMessage", "examSys", "instance", "kafkaOffset", "kandidatnr", "klagestatus", "orgId", "personlopenr",
    "submodule", "success", "testId", "userCandidateId", "vurdId",
}  # fmt: skip
"""Contract 2.2: the columns of the log overview."""
REQUESTS = 6


@pytest.fixture
def carried(world: World) -> Process:
    world.populate(institutions=4, courses=4, requests=REQUESTS)
    process = world.process()
    world.carry(process)
    check_everything(world, REQUESTS)
    return process


def test_every_entry_has_the_fields_of_the_log_overview(world: World, carried: Process) -> None:
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


def test_steps_name_their_ids_in_the_exam_system(world: World, carried: Process) -> None:
    for row in world.control.cases():
        case = world.database.cases.find_one({"vurdId": row["examId"], "personlopenr": row["personlopenr"]})
        assert case is not None
        entries = {entry["step"]: entry for entry in world.audit(correlationId=case["correlationId"])}
        asked = entries["request_explanation"]
        assert asked["detail"]["explanationRequestId"] == row["explanationRequestId"]
        assert (asked["testId"], asked["userCandidateId"]) == (row["flowId"], row["participantId"])
        assert entries["register_explanation"]["testId"] == row["flowId"]
        assert entries["register_explanation"]["durationMs"] >= 0


def test_the_text_of_an_answer_is_neither_in_the_audit_nor_in_its_processed_message(
    world: World, carried: Process
) -> None:
    for collection in (world.database.audit_log, world.database.processed_messages, world.database.cases):
        assert "Begrunnelsen gjelder besvarelse" not in str(list(collection.find()))
    fetched = world.audit(step="fetch_answer")
    assert all(len(entry["detail"]["textHash"]) == 64 for entry in fetched)


def test_request_and_answer_of_a_case_have_one_correlation_id_without_personal_data(
    world: World, carried: Process
) -> None:
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
    process = world.process()
    read = read_requests(process, process.stores.institutions.active())
    assert (read.institutions, read.seen, read.failed) == (4, REQUESTS, {})
    again = list(world.database.cases.find())
    assert {case["_id"] for case in again} == first, "a case's own id is derived from what it is about"
    assert not ids & {case["correlationId"] for case in again}, "its correlation id is drawn"


def test_nothing_changes_or_removes_an_entry(world: World, carried: Process) -> None:
    before = world.audit()
    carried.stores.audit.add([])
    for message in world.database.processed_messages.find():
        del message["settledFence"]
        world.database.messages.insert_one({**message, "status": "enqueued", "dueAt": message["enqueuedAt"]})
    carried.synchronisation.run_batch()
    world.synchronise(carried, also_answered=True)

    assert world.audit() == before
    assert {name for name in vars(AuditLog) if not name.startswith("_")} == {
        "add", "of_case", "counts_since",
    }  # fmt: skip


@pytest.fixture
def tried_twice(world: World) -> dict[str, Any]:
    """A request with two attempts: the first found exam and candidate and was refused, the second was superseded."""
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    process = world.process()
    (asked,) = world.control.cases()
    refused = {"system": "wiseflow", "kind": "status", "status": 403, "method": "POST", "path": "explanation/request"}
    world.control.faults(refused)
    assert world.send(process) == 1
    world.control.clear_faults()
    world.control.change(asked["caseId"], kandidatnr=4321, in_wiseflow=True)
    process.operators.dead_letters.replay(
        DeadLetterFilter(), Order(dry_run=False, reason="as the alert says", asked_by="test")
    )
    read_requests(process, process.stores.institutions.active())
    world.carry(process)
    message = world.database.processed_messages.find_one({"steps.find_exam.result.outcome": "superseded"})
    assert message is not None
    return message


def test_a_read_only_step_of_each_attempt_is_audited(world: World, tried_twice: dict[str, Any]) -> None:
    recorded = [entry for entry in world.audit() if tried_twice["_id"] in entry["_id"]]
    found = [(entry["step"], entry["success"], entry["detail"].get("outcome")) for entry in recorded]
    assert found == [
        ("received", True, None),
        ("find_exam", True, None),
        ("find_candidate", True, None),
        ("request_explanation", False, None),
        ("replayed", True, None),
        ("find_exam", True, "superseded"),
    ]
    assert recorded[-1]["time"] == tried_twice["steps"]["find_exam"]["at"]
    assert [kind for kind, names in count_all(world).why["audit_gaps"].items() if names] == []


@pytest.mark.parametrize("lacking", [("find_exam",), ("find_exam", 2), ("find_candidate",)])
def test_the_checks_find_each_missing_read_only_step(
    lacking: tuple[object, ...], world: World, tried_twice: dict[str, Any]
) -> None:
    entry = ":".join(map(str, (tried_twice["correlationId"], tried_twice["_id"], *lacking)))
    assert world.database.audit_log.delete_one({"_id": entry}).deleted_count == 1
    assert count_all(world).why["audit_gaps"]["steps without entry"] == [entry]


@pytest.mark.parametrize("invented", [("find_candidate", 2), ("find_exam", 3), ("find_exam", 1)])
def test_the_checks_find_each_read_only_step_that_nobody_made(
    invented: tuple[object, ...], world: World, tried_twice: dict[str, Any]
) -> None:
    place = (tried_twice["correlationId"], tried_twice["_id"])
    real = world.database.audit_log.find_one({"_id": ":".join((*place, "find_exam"))})
    assert real is not None
    entry = ":".join(map(str, (*place, *invented)))
    world.database.audit_log.insert_one({**real, "_id": entry, "step": invented[0]})
    assert count_all(world).why["audit_gaps"]["entries without step"] == [entry]


def test_each_read_only_step_is_known_to_the_checks(world: World) -> None:
    process = world.process()
    for flow in process.flows.values():
        read_only_steps: list[str] = []
        for step in flow.steps:
            assert READ_ONLY_STEPS_BEFORE.get(step.name, ()) == tuple(read_only_steps)
            assert (step.name in READ_ONLY_STEPS) == step.read_only
            read_only_steps = [*read_only_steps, step.name] if step.read_only else []
