"""Recognisable persons go through every success and failure. Their data must be found in MongoDB, FS and WISEflow only."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from casebridge.defect import as_case_error
from casebridge.exams.explanations import answer_poller, request_reader
from casebridge.exams.explanations.audit_columns import PERSONAL_COLUMNS
from casebridge.exams.models import ExplanationAnswer, ExplanationRegistration, ExplanationRequest
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.message import UNFINISHED
from casebridge.personal_data import personal_fields
from local_servers.child_process import free_port
from resources.wiseflow.records import Explanation, Participant, SubmissionComment
from tests.support.dagster_run import DagsterRuns
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.personal_values import MARK, PersonalValues
from tests.support.processes import Ended, Processes
from tests.support.scraped import scrape
from tests.support.waiting import wait_until
from tests.support.world import World

UNUSUAL_REQUESTS: tuple[dict[str, Any], ...] = (
    {"oddity": "no_candidate"},
    {"oddity": "no_flow"},
    {"oddity": "two_flows"},
    {"oddity": "explanations_off"},
    {"oddity": "unknown_state"},
    {"answer_text": "\n"},
    {"omit": ["personlopenr"]},
    {"raw": {"kandidatnr": f"{MARK}-tall"}, "expected": "invalid_row"},
)
FAULTS: tuple[dict[str, Any], ...] = tuple(
    {"system": system, "times": 2, "probability": 0.5, **fault}
    for system in ("fs", "wiseflow")
    for fault in (
        {"kind": "status", "status": 500},
        {"kind": "html"},
        {"kind": "invalid_json"},
        {"kind": "drop", "after_effect": True},
        {"kind": "status", "status": 429, "retry_after": 0.1},
    )
)
FIRST_KANDIDATNR = 70_000_001
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Observed:
    """A world in which everything has happened, and all output that people without access to personal data can read."""

    world: World
    values: PersonalValues
    shown: dict[str, str]


@pytest.fixture
def persons(world: World) -> World:
    """A world in which no number of a person can be the number of anything else."""
    world.configure(log_level="DEBUG")
    population = world.populate(institutions=3, courses=3, requests=0)
    first, second, third = (institution["orgId"] for institution in population["institutions"])
    orders = [(first, order) for order in UNUSUAL_REQUESTS]
    orders += [(org_id, {"answer_text": f"{MARK}: til {org_id}"}) for org_id in (first, second, third) for _ in "12"]
    for place, (org_id, order) in enumerate(orders):
        world.control.add_request(org_id, kandidatnr=FIRST_KANDIDATNR + 1000 * place, **order)
    return world


@pytest.fixture
def collector() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def observed(persons: World, processes: Processes, collector: OtlpReceiver) -> Observed:
    world, commands = persons, dict[str, Ended]()
    port = free_port()
    telemetry = {
        "metrics_port": port,
        "queue_read_seconds": 1,
        "traces_endpoint": collector.endpoint,
        "traces_ratio": 1,
    }
    world.configure(log_level="DEBUG", telemetry=telemetry)
    org_id = world.control.cases()[0]["orgId"]
    listener = processes.listener()
    world.control.credentials(org_id, "fs", valid=False)
    commands["sync in trouble"] = processes.run("sync", "--json", "--wait", "1")
    world.control.credentials(org_id, "fs", valid=True)
    wait_until(lambda: not world.database.pauses.count_documents({}), "the pause is lifted")
    commands["sync"] = processes.run("sync", "--wait", "1")
    plant_a_defect(world)
    world.control.faults(*FAULTS)
    commands["sync with faults"] = processes.run("sync", "--wait", "1")
    world.control.clear_faults()
    commands["sync again"] = processes.run("sync", "--json", "--reach-back-days", "14", "--wait", "1")
    wait_until_settled(world)
    commands |= ask_everything(world, processes)
    wait_until_settled(world)
    metrics = scrape(port).text
    listener.stop()

    shown = {f"casebridge {name}": ended.output + ended.notes for name, ended in commands.items()}
    shown["the listener's log"] = listener.log.read_text()
    shown["metrics"] = metrics
    shown["traces"] = as_text(collector.spans) + b"".join(collector.bodies).decode(errors="replace")
    shown["Slack"] = as_text(world.control.slack_messages())
    shown["LaaS"] = as_text(world.control.laas_documents())
    shown["alerts"] = as_text(list(world.database.alerts.find()))
    shown["error messages"] = as_text([entry["errorMessage"] for entry in world.audit(success=False)])
    shown["errors of messages"] = as_text(list(world.database.messages.find({}, {"_id": 0, "errors": 1})))
    shown["watermarks and pauses"] = as_text([*world.database.watermarks.find(), *world.database.pauses.find()])
    return Observed(world, PersonalValues(world, rows_in_fs(world)), shown)


def plant_a_defect(world: World) -> None:
    """Insert a case that no release of ours would write. The step that reads it fails with an error that quotes it."""
    readable = {"payload.request": {"$exists": True}, "status": "dead"}
    message = wait_until(lambda: world.database.messages.find_one(readable), "a request is set aside")
    case = world.database.cases.find_one({"_id": message["payload"]["caseId"]}) or {}
    fields = {"_id": "odd case", "correlationId": "01a22167f5607d39bf4d3a38506982b2", "state": f"{MARK}-defekt"}
    world.database.cases.insert_one({**case, **fields})
    broken = {**message, "_id": "broken", "orderingKey": "broken", "steps": {}, "status": "enqueued", "attempts": 0}
    broken |= {"payload": {**message["payload"], "caseId": "odd case"}, "dueAt": message["enqueuedAt"]}
    world.database.messages.insert_one(broken)
    world.process().stores.queue.notify([Lane.of(broken)])


def ask_everything(world: World, processes: Processes) -> dict[str, Ended]:
    """Ask every question of an operator, about cases that succeeded and cases that failed."""
    done, failed = (
        next(case for case in world.control.cases() if case["state"] == state) for state in ("registered", "visible")
    )
    nobody = f"{done['examId']}+{FIRST_KANDIDATNR - 1}"
    asked = processes.run("where", f"{done['examId']}+{done['kandidatnr']}", "--json")
    commands = {
        "status": processes.run("status"),
        "status --json": processes.run("status", "--json"),
        "where --json": asked,
        "where by id": processes.run("where", asked.json()[0]["correlation_id"]),
        "where it failed": processes.run("where", f"{failed['examId']}+{failed['kandidatnr']}"),
        "where nobody is": processes.run("where", nobody),
        **ask_for_dead_letters(world, processes),
    }
    assert [ended.exit_code for ended in commands.values()] == [4, 4, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]
    return commands


def ask_for_dead_letters(world: World, processes: Processes) -> dict[str, Ended]:
    dead = {"status": "dead", "steps.find_exam": {"$exists": True}}
    letter = wait_until(lambda: world.database.messages.find_one(dead), "a request is set aside at its second step")
    for_real = ("--for-real", "--reason", "test", "--json")
    return {
        "dead list": processes.run("dead", "list"),
        "dead list --json": processes.run("dead", "list", "--json"),
        "dead show": processes.run("dead", "show", letter["correlationId"]),
        "dead show --json": processes.run("dead", "show", letter["correlationId"], "--json"),
        "dead discard": processes.run("dead", "discard", "--case", letter["correlationId"], *for_real),
        "dead replay": processes.run("dead", "replay"),
        "dead replay --json": processes.run("dead", "replay", *for_real),
    }


def wait_until_settled(world: World) -> None:
    waiting = {"status": {"$in": [status.value for status in UNFINISHED]}}
    wait_until(lambda: not world.database.messages.count_documents(waiting), "every message is processed or dead")


def rows_in_fs(world: World) -> list[dict[str, Any]]:
    process = world.process()
    rows = []
    for institution in process.stores.institutions.active():
        exams = {case["examId"] for case in world.control.cases() if case["orgId"] == institution.org_id}
        for exam in sorted(exams):
            rows += process.clients.student_registry(institution).explanation_rows(exam)
    return rows


def as_text(values: list[Any]) -> str:
    return json.dumps(values, default=str, ensure_ascii=False)


def test_no_personal_data_leaves(observed: Observed) -> None:
    check_that_everything_happened(observed)
    inside = as_text([*observed.world.database.messages.find(), *observed.world.database.processed_messages.find()])
    inside += as_text(list(observed.world.database.audit_log.find())) + as_text(rows_in_fs(observed.world))
    assert set(observed.values.found_in(inside)) >= {"a number", "a name", "a text", "a fingerprint"}, (
        "the search finds what is there to be found"
    )

    leaks = {place: observed.values.found_in(text) for place, text in observed.shown.items()}

    assert {place: found for place, found in leaks.items() if found} == {}


def check_that_everything_happened(observed: Observed) -> None:
    """Success, every kind of failure, a pause and a defect must have happened. Otherwise the search proves nothing."""
    world = observed.world
    codes = {entry["code"] for entry in world.audit(success=False)}
    assert codes >= {
        "wiseflow.participant_missing",
        "wiseflow.flow_missing",
        "wiseflow.flow_ambiguous",
        "wiseflow.explanations_off",
        "wiseflow.state_unknown",
        "wiseflow.answer_empty",
        "fs.row_unreadable",
        "fs.credentials_refused",
        "casebridge.defect",
    }
    assert any(code.endswith(("http_500", "body_not_json", "connection_lost", "rate_limited")) for code in codes)
    assert world.control.summary()["registered"] == 6
    assert all(text for place, text in observed.shown.items() if place != "watermarks and pauses")
    assert "casebridge.messaging" in observed.shown["the listener's log"]
    assert "DEBUG" in observed.shown["the listener's log"]


def test_no_personal_data_reaches_dagster(persons: World, tmp_path: Path) -> None:
    """Everything that a run writes: its event log, its metadata, its errors, its console."""
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    runs = DagsterRuns(persons, tmp_path)
    org_ids = {case["orgId"] for case in persons.control.cases()}
    for org_id in org_ids:
        persons.control.credentials(org_id, "fs", valid=False)
    assert runs.run("sync_now") == 1, "nothing could be read"
    for org_id in org_ids:
        persons.control.credentials(org_id, "fs", valid=True)
    assert runs.run("sync_now") == 0
    plant_a_defect(persons)
    persons.control.faults(*FAULTS)
    runs.run("sync_now")
    persons.control.clear_faults()
    assert runs.run("reconcile") == 0
    for job in ("list_dead_letters", "replay_dead_letters", "discard_dead_letters"):
        assert runs.run(job) == 0

    written = "".join(path.read_bytes().decode(errors="replace") for path in tmp_path.rglob("*") if path.is_file())

    for said in ("fs.credentials_refused", "wiseflow.participant_missing", "casebridge.defect", "how_to_recover"):
        assert said in written
    assert PersonalValues(persons, rows_in_fs(persons)).found_in(written) == {}


def test_every_field_with_personal_data_is_marked() -> None:
    assert personal_fields(ExplanationRequest) == {"personlopenr", "kandidatnr", "brukernavn"}
    assert personal_fields(ExplanationRegistration) == {"personlopenr", "kandidatnr", "text"}
    assert personal_fields(ExplanationAnswer) == {"text"}
    assert personal_fields(Participant) == {"unique_exam_id", "user"}
    assert personal_fields(Explanation) == {"justification"}
    assert personal_fields(SubmissionComment) == {"content"}


def test_marked_fields_are_not_printed() -> None:
    answer = ExplanationAnswer(text=MARK, given_at=datetime(2026, 1, 8, tzinfo=UTC), source="comment")
    registration = ExplanationRegistration("vurdId", 480001, 1042, None, date(2026, 1, 8), MARK)
    for shown in (repr(answer), repr(registration)):
        assert MARK not in shown
        assert "480001" not in shown
        assert "1042" not in shown


def test_a_defect_is_reported_by_its_type_and_place(caplog: pytest.LogCaptureFixture) -> None:
    try:
        try:
            int(MARK)
        except ValueError as first:
            raise RuntimeError(f"cannot handle {MARK}") from first
    except RuntimeError as defect:
        error = as_case_error(defect)

    assert error.code == "casebridge.defect"
    assert "RuntimeError" in str(error)
    assert Path(__file__).name in caplog.text, "where it happened"
    assert MARK not in caplog.text + str(error)


def test_the_log_index_gets_no_field_that_the_audit_marks_as_personal(world: World) -> None:
    world.populate(institutions=1, courses=1, requests=2)
    world.carry(world.process())

    documents = [row["document"] for row in world.control.laas_documents()]

    assert {document["submodule"] for document in documents} == {request_reader.QUEUE, answer_poller.QUEUE}
    assert not any(PERSONAL_COLUMNS & set(document) for document in documents)
