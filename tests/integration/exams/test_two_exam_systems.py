"""One institution on two exam systems in one environment. Each system is handled, paused, polled and reported by itself.

This version supports WISEflow only. A request in another exam system is set aside and alerted, and stops nothing in WISEflow.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from casebridge.database import Database
from casebridge.errors import AuthBrokenError, TransientError
from casebridge.exams.fs_rows import read_row
from casebridge.exams.models import ExplanationRequest
from casebridge.fingerprint import short_hash
from casebridge.messaging.listener.lane_scheduler import LaneScheduler
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.message import MessageStatus, NewMessage
from resources.wiring.explanations import Explanations
from tests.integration.conftest import Operator, metadata_of
from tests.integration.orchestration.test_dagster_ledger import asked_in, month_of
from tests.support.end_state import check_everything
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.world import World

QUEUE = "wiseflow-begrunnelse"
REQUESTS = 6
REFUSED = AuthBrokenError("fs.credentials_refused", "FS refused the credentials.", "Renew them.", system="FS")
LONG_AGO = datetime(2026, 1, 8, tzinfo=UTC)


def populate(world: World, *, inspera_first: bool = False) -> str:
    """One institution with a configuration row for each of the two systems."""
    population = world.populate(institutions=1, courses=2, requests=REQUESTS, variety=False)
    org_id = str(population["institutions"][0]["orgId"])
    (row,) = world.database.environments.find()
    name = "a first row" if inspera_first else "z last row"
    rows = [row, {**row, "_id": name, "examSystem": "INSPERA"}]
    world.database.environments.delete_many({})
    world.database.environments.insert_many(rows[::-1] if inspera_first else rows)
    return org_id


def of_inspera(org_id: str, key: str = "of INSPERA") -> NewMessage:
    return NewMessage(
        key, QUEUE, org_id, "test", f"case of {key}", f"correlation of {key}", {"caseId": None}, exam_system="INSPERA"
    )


@pytest.mark.parametrize("inspera_first", [True, False], ids=["INSPERA first", "INSPERA last"])
def test_cases_in_wiseflow_are_handled_whichever_row_comes_first(inspera_first: bool, world: World) -> None:
    org_id = populate(world, inspera_first=inspera_first)
    process = world.process()
    assert [one.tenant for one in process.stores.institutions.active()] == [
        f"{org_id}/test/INSPERA",
        f"{org_id}/test/WISEFLOW",
    ]
    assert [one.exam_system for one in process.stores.institutions.named(f"{org_id}/test")] == ["INSPERA", "WISEFLOW"]

    world.carry(process)
    read = read_requests(process, process.stores.institutions.active())
    polled = poll_answers(process, process.stores.institutions.active(), also_answered=True)

    check_everything(world, REQUESTS)
    assert (read.institutions, read.failed, polled.failed) == (2, {}, {})
    assert world.control.slack_messages() == []
    assert f"{org_id}/test/INSPERA" in process.operators.status.read().configuration, "in sight"


def test_cases_in_another_system_are_set_aside_and_stop_nothing(world: World) -> None:
    org_id = populate(world)
    process = world.process()
    read_requests(process, process.stores.institutions.active())
    some = world.database.messages.find_one()
    assert some is not None
    process.stores.queue.accept([replace(of_inspera(org_id), payload={**some["payload"], "caseId": "of nobody"})])

    world.carry(process)

    (dead,) = world.database.messages.find()
    assert (dead["examSystem"], dead["status"]) == ("INSPERA", MessageStatus.DEAD)
    assert dead["errors"][-1]["code"] == "exam_system.not_configured"
    assert world.control.summary()["registered"] == REQUESTS
    assert len(world.control.slack_messages()) == 1


def test_a_pause_stops_its_own_exam_system_only(world: World) -> None:
    world.configure(queue={"probe_seconds": 900.0, "probe_cap_seconds": 900.0})
    org_id = populate(world)
    process = world.process()
    process.stores.queue.accept([of_inspera(org_id)])
    assert process.stores.pauses.pause(f"{org_id}/test", "INSPERA", REFUSED)
    assert process.stores.pauses.paused() == {f"{org_id}/test/INSPERA"}

    world.carry(process)

    (waiting,) = world.database.messages.find()
    assert (waiting["_id"], waiting["attempts"]) == ("of INSPERA", 0)
    assert world.control.summary()["registered"] == REQUESTS
    (row,) = process.operators.status.read().institutions
    assert row.paused == f"INSPERA: {REFUSED.cause}"


@pytest.mark.parametrize("form", ["of this version", "of an earlier version"])
def test_working_credentials_end_the_pause_of_an_unsupported_system(form: str, world: World) -> None:
    """FS was refused for INSPERA, too. No client can ask that exam system, so it must not keep the pause for ever."""
    org_id = populate(world)
    process = world.process()
    name = f"{org_id}/test"
    if form == "of this version":
        process.stores.pauses.pause(name, "INSPERA", REFUSED)
    else:
        old = {"system": "FS", "code": REFUSED.code, "cause": REFUSED.cause, "since": LONG_AGO, "trials": 0}
        world.database.pauses.insert_one({"_id": name, **old})
    world.database.pauses.update_many({}, {"$set": {"tryAt": LONG_AGO}})

    process.platform.probes.run_due()

    assert process.stores.pauses.paused() == set()


def test_a_pause_of_an_earlier_version_stays_for_the_exam_system_that_is_refused(world: World) -> None:
    org_id = populate(world)
    process = world.process()
    name = f"{org_id}/test"
    world.control.credentials(org_id, "wiseflow", valid=False)
    row = {"_id": name, "system": "FS", "code": "x", "cause": "x", "since": LONG_AGO, "trials": 3, "tryAt": LONG_AGO}
    world.database.pauses.insert_one(row)
    assert process.stores.pauses.paused() == {name}

    process.platform.probes.run_due()

    assert process.stores.pauses.paused() == {f"{name}/WISEFLOW"}
    (pause,) = process.stores.pauses.all()
    assert (pause.institution, pause.exam_system, pause.probes) == (name, "WISEFLOW", 4)


def test_both_failures_of_one_institution_are_alerted(world: World) -> None:
    org_id = populate(world)
    process = world.process()
    world.control.faults({"system": "fs", "kind": "status", "status": 503})

    report = read_requests(process, process.stores.institutions.active())

    assert report.failed == dict.fromkeys([f"{org_id}/test/INSPERA", f"{org_id}/test/WISEFLOW"], "fs.http_503")
    assert report.all_failed
    assert len({entry["_id"] for entry in world.audit(success=False)}) == 2
    for institution in process.stores.institutions.active():
        assert process.capability(Explanations).watermarks.get(institution).failures == 1


def test_alerts_of_two_exam_systems_are_two_causes(world: World) -> None:
    org_id = populate(world)
    process = world.process()
    world.control.faults({"system": "fs", "kind": "status", "status": 401})

    read_requests(process, process.stores.institutions.active())

    assert {alert["examSystem"] for alert in world.database.alerts.find()} == {"INSPERA", "WISEFLOW"}
    assert process.stores.pauses.paused() == {f"{org_id}/test/INSPERA", f"{org_id}/test/WISEFLOW"}


def test_a_month_of_the_ledger_covers_all_exam_systems(world: World, operator: Callable[..., Operator]) -> None:
    ui = operator(institutions=1, courses=2, requests=REQUESTS)
    (row,) = world.database.environments.find()
    world.database.environments.insert_one({**row, "_id": "another", "examSystem": "INSPERA"})
    month = month_of(world, row["orgId"])

    account = metadata_of(ui.materialise(f"{row['orgId']}/{row['env']}", month), "request_ledger")

    expected = asked_in(world, row["orgId"], month)
    assert (account["fs_total"], account["accepted_now"], account["pending"], account["lost"]) == (
        expected, expected, expected, 0,
    )  # fmt: skip


def test_a_synchronisation_of_one_institution_is_of_all_its_exam_systems(world: World) -> None:
    from command_line.sync import _chosen  # noqa: PLC0415

    org_id = populate(world)
    assert len(_chosen(world.process(), [f"{org_id}/test"])) == 2


# Rows of the configuration


def rows_of(database: Database, changes: list[dict[str, Any]]) -> None:
    (row,) = database.environments.find()
    database.environments.delete_many({})
    database.environments.insert_many(
        [{**row, "_id": f"row {number}", **change} for number, change in enumerate(changes)]
    )


@pytest.mark.parametrize("backwards", [False, True])
def test_the_first_of_equal_rows_counts_and_the_others_are_reported(
    backwards: bool, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    org_id = str(world.populate(institutions=1, courses=1, requests=2, variety=False)["institutions"][0]["orgId"])
    rows_of(world.database, [{"instance": "one"}, {"instance": "two", "examSystem": "wiseflow "}])
    if backwards:
        rows = list(world.database.environments.find().sort("_id", -1))
        world.database.environments.delete_many({})
        world.database.environments.insert_many(rows)
    process = world.process()

    (institution,) = process.stores.institutions.active()

    assert institution.instance == "one"
    assert list(process.stores.institutions.problems()) == [f"{org_id}/test/WISEFLOW again"]
    assert f"{org_id}/test/WISEFLOW again" in caplog.text
    world.carry(process)
    check_everything(world, 2)


@pytest.mark.parametrize(
    "bad",
    [
        {"orgId": None},
        {"orgId": 217},
        {"env": ["test"]},
        {"examSystem": {"code": "WISEFLOW"}},
        {"examSystem": "  "},
        {"examSystem": "INSPERA", "wiseflow": "none"},
    ],
    ids=str,
)
def test_an_unreadable_row_is_reported_and_stops_no_other(bad: dict[str, Any], world: World) -> None:
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    rows_of(world.database, [bad, {}])
    process = world.process()

    assert [one.exam_system for one in process.stores.institutions.active()] == ["WISEFLOW"]
    assert len(process.stores.institutions.problems()) == 1
    world.carry(process)
    check_everything(world, 2)


SPELLINGS: list[dict[str, Any]] = [
    {"examSystem": "wiseflow"},
    {"examSystem": " WISEFLOW"},
    {"env": "Test "},
    {"orgId": "{org_id} "},
    {"orgId": "{ORG_ID}"},
]


@pytest.mark.parametrize("spelling", SPELLINGS, ids=str)
def test_a_harmless_spelling_is_the_same_institution(spelling: dict[str, str], world: World) -> None:
    org_id = str(world.populate(institutions=1, courses=1, requests=2, variety=False)["institutions"][0]["orgId"])
    process = world.process()
    world.send(process)
    (right,) = process.stores.institutions.active()
    rows_of(
        world.database,
        [{name: value.format(org_id=org_id, ORG_ID=org_id.upper()) for name, value in spelling.items()}],
    )
    again = world.process()

    (institution,) = again.stores.institutions.active()
    assert (institution.tenant, institution.key) == (right.tenant, right.key)
    world.carry(again)
    check_everything(world, 2)


@pytest.mark.parametrize("interrupted", [False, True])
def test_documents_under_another_spelling_are_found_after_prepare(interrupted: bool, world: World) -> None:
    """Earlier versions stored the names as the configuration spelled them."""
    org_id = str(world.populate(institutions=1, courses=1, requests=2, variety=False)["institutions"][0]["orgId"])
    process = world.process()
    world.control.assessors(paused=True)
    world.send(process)
    written = {
        "orgId": org_id.upper(),
        "env": "Test ",
        "examSystem": "WISEFLOW",
        "institution": f"{org_id.upper()}/Test ",
    }
    for collection in (world.database.cases, world.database.processed_messages):
        collection.update_many({}, {"$set": written})
    world.database.lanes.insert_one({"_id": {"institution": f"{org_id}/test", "queue": QUEUE}, "wokenAt": LONG_AGO})

    if interrupted:
        case = world.database.cases.find_one()
        assert case is not None
        world.database.cases.update_one({"_id": case["_id"]}, {"$set": {"orgId": org_id}})
    assert process.operators.rekeying.run() == 5
    assert process.operators.rekeying.run() == 0, "there is nothing to change again"

    world.control.assessors(minimum_delay_s=0.0, maximum_delay_s=0.0, paused=False)
    world.carry(process)
    assert {case["institution"] for case in world.database.cases.find()} == {f"{org_id}/test"}
    assert world.control.summary()["registered"] == 2


@pytest.mark.parametrize(
    "written",
    [{"orgId": "upper"}, {"env": " Test "}, {"examSystem": "wiseflow"}, {"orgId": "upper", "env": "TEST"}],
    ids=str,
)
def test_a_case_whose_institution_was_spelled_otherwise_is_found_by_its_old_id(
    written: dict[str, str], world: World
) -> None:
    """5aec059 used the configuration's spelling in the case's id. The case is found by it, and not opened a second time."""
    org_id = str(world.populate(institutions=1, courses=1, requests=2, variety=False)["institutions"][0]["orgId"])
    spelling = {name: org_id.upper() if text == "upper" else text for name, text in written.items()}
    world.database.environments.update_many({}, {"$set": spelling})
    if "orgId" in spelling:
        world.database.orgs.update_many({}, {"$set": {"orgId": spelling["orgId"]}})
    names = {"orgId": org_id, "env": "test", "examSystem": "WISEFLOW", **spelling}
    process = world.process()
    (institution,) = process.stores.institutions.active()
    registry = process.clients.student_registry(institution)
    exams = registry.changed_exams(datetime(2020, 1, 1, tzinfo=UTC)).exams
    raws = [row for exam in exams for row in registry.explanation_rows(exam.vurd_id)]
    requests = [row for row in map(read_row, raws) if isinstance(row, ExplanationRequest)]
    for case in process.capability(Explanations).cases.open(institution, requests).values():
        document = {**case.document, **names, "institution": f"{names['orgId']}/{names['env']}"}
        exam, person = document["vurdId"], document["personlopenr"]
        # As 5aec059 built it.
        old = short_hash(names["examSystem"], names["orgId"], names["env"], exam, person, "BEGRUNN")
        world.database.cases.delete_one({"_id": case.id})
        world.database.cases.insert_one({**document, "_id": old})
    before = {case["_id"]: case["correlationId"] for case in world.database.cases.find()}
    process.operators.rekeying.run()

    world.control.assessors(minimum_delay_s=0.0, maximum_delay_s=0.0, paused=False)
    world.carry(process)

    assert {case["_id"]: case["correlationId"] for case in world.database.cases.find()} == before, "no second case"
    summary = world.control.summary()
    assert (summary["registered"], summary["registrations"], summary["dispatched"]) == (2, 2, 2)


def test_a_watermark_under_another_spelling_is_read_on(world: World) -> None:
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    rows_of(world.database, [{"examSystem": "wiseflow"}])
    process = world.process()
    (institution,) = process.stores.institutions.active()
    old = f"{institution.org_id}|test|wiseflow|begrunnelse"
    world.database.watermarks.insert_one({"_id": old, "siden": LONG_AGO, "failures": 2, "status": "processed"})

    assert process.capability(Explanations).watermarks.get(institution).since == LONG_AGO
    assert (
        process.capability(Explanations).watermarks.note_failed_read(
            institution, TransientError("x", "It failed.", "Wait.")
        )
        == 3
    )
    assert process.capability(Explanations).watermarks.get(institution).since == LONG_AGO


# Lanes of earlier versions


def test_a_notification_of_an_earlier_version_is_for_all_exam_systems(world: World) -> None:
    org_id = populate(world)
    process = world.process()
    scheduler = LaneScheduler(process.stores.queue, process.stores.clock)
    assert scheduler.take("one", 10, ()) == []
    for key, system in (("a", "WISEFLOW"), ("b", "INSPERA")):
        message = NewMessage(key, QUEUE, org_id, "test", key, key, {}, exam_system=system)
        world.database.messages.insert_one(message.document(process.stores.clock.now()))
    assert scheduler.take("one", 10, ()) == [], "nobody was notified"

    scheduler.notify([Lane.of({"institution": f"{org_id}/test", "queue": QUEUE})])

    assert {message.exam_system for _ in range(3) for message in scheduler.take("one", 10, ())} == {
        "WISEFLOW",
        "INSPERA",
    }


def test_a_message_without_an_exam_system_belongs_to_the_only_one(world: World) -> None:
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    process = world.process()
    read_requests(process, process.stores.institutions.active())
    world.database.messages.update_many({}, {"$unset": {"examSystem": ""}})

    world.carry(process)

    assert world.control.summary()["registered"] == 2
