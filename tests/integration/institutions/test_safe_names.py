"""Names from outside are shown to nobody unless they are configured. Each field is tested in each kind of output."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from assets.audit_log import counted
from assets.explanations.checks import dead_letters, deadline_overdue, nothing_lost, oldest_pending
from assets.status_metadata import status_metadata
from casebridge.alerts.alert import Alert
from casebridge.exams.exam_key import ExamKey, exam_name
from casebridge.exams.explanations import answer_poller, exam_message, request_intake
from casebridge.exams.fs_rows import safe_fields
from casebridge.messaging.queue.message import LONG_AGO
from casebridge.sources.record_inbox import QUEUE as RECORDS
from command_line.main import application
from resources.wiring.process import Process
from tests.support.given_process import resource_with
from tests.support.world import World

CANARY = "Kari Hemmelig 01019012345"
"""A name and an identity number. A sender might put them anywhere."""
PIECES = ("hemmelig", "01019012345")
ENV = "test"


def stored(world: World, **fields: Any) -> dict[str, Any]:
    """A message as another program may have written it, with the required fields only."""
    institution = world.process().stores.institutions.active()[0]
    now = datetime.now(UTC) - timedelta(minutes=1)
    return {
        "_id": "stored", "queue": request_intake.QUEUE, "status": "enqueued", "orgId": institution.org_id, "env": ENV,
        "institution": institution.key, "examSystem": "WISEFLOW", "orderingKey": "stored", "correlationId": "c-1",
        "enqueuedAt": now, "dueAt": now, "payload": {}, **fields,
    }  # fmt: skip


FIELDS: dict[str, dict[str, Any]] = {
    "orgId": {"orgId": CANARY, "institution": f"{CANARY}/{ENV}".lower()},
    "orgId without institution": {"orgId": CANARY, "institution": None},
    "env": {"env": CANARY, "institution": f"uis.no/{CANARY}"},
    "institution": {"institution": CANARY},
    "institution of parts": {"institution": f"{CANARY}/{CANARY}"},
    "examSystem": {"examSystem": CANARY},
    "queue": {"queue": CANARY},
    "queue and orgId": {"queue": CANARY, "orgId": CANARY},
    "fields of a row": {"payload": {"caseId": None, "unreadable": CANARY, "fields": CANARY}},
    "a line": {"queue": exam_message.QUEUE, "payload": {"unreadable": CANARY, "fault": CANARY}},
    "an exam": {"queue": exam_message.QUEUE, "payload": {"vurdId": CANARY}},
    "an exam of words": {
        "queue": exam_message.QUEUE,
        "payload": {"vurdId": ExamKey(1, "Kari Hemmelig", "1", "S", 2025, "01019012345").vurd_id},
    },
    "an answer": {"queue": answer_poller.QUEUE, "payload": {"caseId": CANARY, "vurdId": CANARY, "marker": CANARY}},
    "the topic of a record": {
        "queue": RECORDS,
        "origin": {
            "topic": CANARY, "partition": 0, "offset": 1, "timestamp": datetime.now(UTC), "value": CANARY.encode(), "key": None,
        },
    },
}  # fmt: skip


def test_no_field_of_a_stored_message_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for ours in ("casebridge", "resources", "command_line"):
        caplog.set_level("DEBUG", logger=ours)  # nobody sees the driver's own log of its commands
    world.populate(institutions=1, courses=1, requests=0, variety=False)
    process = world.process()
    for name, fields in FIELDS.items():
        world.database.messages.insert_one({**stored(world, **fields), "_id": name, "orderingKey": name})

    process.synchronisation.run_batch()
    process.relay.deliver_left_behind()
    process.relay.send_alerts()

    open_still = [message["_id"] for message in world.database.messages.find({"status": {"$ne": "dead"}})]
    assert (open_still, world.database.messages.count_documents({})) == ([], len(FIELDS)), (
        "all came to their end, in sight"
    )
    assert world.control.slack_messages()
    assert leaks(surfaces(world, process, monkeypatch, caplog)) == {}


def surfaces(
    world: World, process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> dict[str, str]:
    """All output that people without access to personal data can read."""
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    runner = CliRunner()
    commands = (
        ("status",), ("status", "--json"), ("dead", "list"), ("dead", "list", "--json"), ("dead", "show", "c-1"),
        ("dead", "show", "c-1", "--json"), ("dead", "replay"), ("dead", "discard", "--json"), ("where", "c-1"),
        ("where", "c-1", "--json"),
    )  # fmt: skip
    shown = {" ".join(words): runner.invoke(application, words).output for words in commands}
    resource = resource_with(process)
    for check in (nothing_lost, oldest_pending, dead_letters, deadline_overdue):
        shown[check.check_spec.name if hasattr(check, "check_spec") else str(check)] = str(check(resource))
    return {
        **shown,
        "standing": str(status_metadata(process)),
        "audit asset": str(counted(process, LONG_AGO)),
        "Slack": as_text(world.control.slack_messages()),
        "LaaS": as_text(world.control.laas_documents()),
        "alerts": as_text(list(world.database.alerts.find())),
        "error messages": as_text([entry["errorMessage"] for entry in world.audit()]),
        "errors": as_text(list(world.database.messages.find({}, {"_id": 0, "errors": 1}))),
        "log": "\n".join(line for line in caplog.text.splitlines() if " pymongo." not in line),
    }


def leaks(shown: dict[str, str]) -> dict[str, list[str]]:
    found = {place: [piece for piece in PIECES if piece in text.casefold()] for place, text in shown.items()}
    return {place: pieces for place, pieces in found.items() if pieces}


def as_text(values: list[Any]) -> str:
    return json.dumps(values, default=str, ensure_ascii=False)


ROWS: tuple[dict[str, Any], ...] = (
    {"examId": CANARY},
    {"examId": ExamKey(1, "Kari Hemmelig", "1", "S", 2025, "01019012345").vurd_id},
    {"kandidatnr": CANARY},
    {"personlopenr": CANARY},
    {"brukernavn": {CANARY: CANARY}},
    {"kommisjonsId": {CANARY: [CANARY]}},
    {"datoKlageMottat": CANARY},
    {"frist": CANARY},
    {"vurderingsordning": {CANARY: 1}},
    {CANARY: CANARY},
    {"datoKlageMottat": {CANARY: CANARY}, CANARY: {}},
)


def test_no_field_of_a_row_of_fs_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for ours in ("casebridge", "resources", "command_line"):
        caplog.set_level("DEBUG", logger=ours)  # nobody sees the driver's own log of its commands
    population = world.populate(institutions=1, courses=1, requests=1, variety=False)
    for raw in ROWS:
        world.control.add_request(population["institutions"][0]["orgId"], raw=raw, expected="invalid_row")
    process = world.process()

    world.synchronise(process)
    process.relay.deliver_left_behind()
    process.relay.send_alerts()

    assert leaks(surfaces(world, process, monkeypatch, caplog)) == {}


@pytest.mark.parametrize("field", ["institution", "orgId", "submodule", "examSystem"])
def test_an_alert_of_an_earlier_version_is_sent_without_the_name(field: str, world: World) -> None:
    world.populate(institutions=1, courses=1, requests=0, variety=False)
    process = world.process()
    key = process.stores.institutions.active()[0].key
    alert = Alert(
        key, key.split("/")[0], request_intake.QUEUE, "find_exam", "a.b", "Cause.", "Next.", "c-1", set_aside=True
    )
    now = process.stores.clock.now()
    world.database.alerts.insert_one(
        {
            "_id": "old", **alert.body(), field: f"{CANARY}/{ENV}" if field == "institution" else CANARY, "openedAt": now,
            "lastAt": now, "state": "owed", "dueAt": now, "correlationIds": ["c-1"],
        }
    )  # fmt: skip

    assert process.relay.send_alerts() == 1

    assert leaks({"Slack": as_text(world.control.slack_messages())}) == {}


def test_configured_names_are_shown_whether_active_or_not(world: World) -> None:
    world.populate(institutions=2, courses=1, requests=0, variety=False)
    first, second = (institution.key for institution in world.process().stores.institutions.active())
    world.database.environments.update_one({"orgId": second.split("/")[0]}, {"$set": {"begrunnelse": False}})
    process = world.process()

    assert process.stores.names.institution(first) == first
    assert process.stores.names.institution(second) == second
    assert process.stores.names.institution(f"elsewhere.no/{ENV}") == f"unknown/{ENV}"
    assert process.stores.names.submodule(request_intake.QUEUE) == request_intake.QUEUE
    assert process.stores.names.topic(process.settings.kafka.explanation_requests_topic) == "begrunnelse-forespoersel"


@pytest.mark.parametrize(
    ("key", "shown_name"),
    [
        (ExamKey(217, "DAT200", "1", "S", 2025, "HØST"), "exam DAT200 1 2025 HØST"),
        (ExamKey(217, "MED-3100", "A", "S", 2025, "H25"), "exam MED-3100 A 2025 H25"),
        (ExamKey(217, "DAT200", "1", "S", 2025, "Kari Nordmann"), "exam DAT200 1 2025"),
        (ExamKey(217, "Kari Nordmann", "1", "S", 2025, "HØST"), "an exam with an odd examId"),
        (ExamKey(217, "Nordmann", "1", "S", 2025, "HØST"), "an exam with an odd examId"),
        (ExamKey(217, "01019012345", "1", "S", 2025, "HØST"), "an exam with an odd examId"),
        (ExamKey(217, "DAT200", "1", "S", 1019012345, "HØST"), "an exam with an odd examId"),
    ],
    ids=str,
)
def test_an_exam_is_named_by_codes_only(key: ExamKey, shown_name: str) -> None:
    assert exam_name(key.vurd_id) == shown_name


def test_fields_of_ours_are_named_and_no_others() -> None:
    assert safe_fields("examId, kandidatnr") == "examId, kandidatnr"
    assert safe_fields("something (ValueError)") == "something (ValueError)"
    assert safe_fields(f"kandidatnr, {CANARY}") == "kandidatnr"
    assert CANARY not in safe_fields(CANARY)
