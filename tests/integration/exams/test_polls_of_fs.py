"""An error with one item stops no other, in each loop of a poll. Changes that people make in FS are noticed and alerted."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.exam_intake import ExamIntake, ExamRows
from casebridge.exams.explanations.rows_gone import RowsGone
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.message import NewMessage
from casebridge.sources.polling import Polling, PollOutcome
from casebridge.sources.watermarks import ANSWERS, Watermarks
from casebridge.time_limit import TimeLimit
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.support.explanation_rounds import poll_answers
from tests.support.failures import dead_messages
from tests.support.world import World
from tests.unit.exams.test_fs_rows import MALFORMED

PLAIN: dict[str, Any] = {"institutions": 1, "courses": 2, "requests": 4, "variety": False}
SMALL_MALFORMED = {name: fields for name, fields in MALFORMED.items() if "deep" not in name}


def installed(world: World, **order: Any) -> tuple[Process, Institution]:
    world.populate(**{**PLAIN, **order})
    process = world.process()
    return process, process.stores.institutions.active()[0]


def rows_of(process: Process, institution: Institution) -> list[ExamRows]:
    registry = process.clients.student_registry(institution)
    exams = registry.changed_exams(datetime(2020, 1, 1, tzinfo=UTC)).exams
    return [ExamRows(exam.vurd_id, registry.explanation_rows(exam.vurd_id), whole=True) for exam in exams]


def intake(process: Process, reopened: Any = lambda _institution, _cases: ()) -> ExamIntake:
    compare_gone = RowsGone(process.capability(Explanations).cases, process.stores.alerts).compare
    return ExamIntake(
        process.stores.queue,
        process.capability(Explanations).cases,
        process.stores.audit,
        process.stores.clock,
        reopened,
        compare_gone,
        process.stores.alerts,
    )


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_one_row_of_an_exam_stops_no_other(fields: dict[str, Any], world: World) -> None:
    process, institution = installed(world)
    exams = rows_of(process, institution)
    bad = ExamRows(exams[0].vurd_id, [{**exams[0].rows[0], "personlopenr": 1, **fields}, *exams[0].rows], whole=True)

    taken = intake(process).take(institution, [bad, *exams[1:]], process.stores.clock.now())
    again = intake(process).take(institution, [bad, *exams[1:]], process.stores.clock.now())
    process.synchronisation.run_batch()

    assert (taken.open, taken.unreadable, len(taken.accepted)) == (4, 1, 5)
    assert again.accepted == []
    assert world.control.summary()["dispatched"] == 4
    (dead,) = dead_messages(world)
    assert dead["errors"][-1]["code"] == "fs.row_unreadable"


@pytest.mark.parametrize("error", [ValueError("x"), MemoryError(), SystemExit(1), RecursionError()], ids=repr)
def test_one_exam_of_a_list_and_one_institution_of_a_poll_stop_no_other(
    error: BaseException, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, institution = installed(world, courses=4, requests=8, institutions=2)
    other = process.stores.institutions.active()[1]
    registry = process.clients.student_registry(institution)
    bad = registry.changed_exams(datetime(2020, 1, 1, tzinfo=UTC)).exams[0].vurd_id
    read = registry.explanation_rows

    def raising(vurd_id: str) -> Sequence[dict[str, Any]]:
        if vurd_id == bad:
            raise error
        return read(vurd_id)

    monkeypatch.setattr(registry, "explanation_rows", raising)
    exams = len(registry.changed_exams(datetime(2020, 1, 1, tzinfo=UTC)).exams)
    (outcome, _) = process.capability(Explanations).reader.read_new([institution, other])
    if exams > 1:
        assert outcome.counts["exams_left"] == 1
        assert outcome.error is None
        assert process.capability(Explanations).watermarks.get(institution).since is not None
        monkeypatch.undo()
    process.synchronisation.run_batch()
    process.capability(Explanations).reader.read_new([institution, other])
    process.synchronisation.run_batch()
    assert not dead_messages(world)

    def broken(_institution: Institution, _error: object = None) -> PollOutcome:
        if _institution.key == institution.key:
            raise error
        return PollOutcome(_institution.key)

    polling = Polling(
        process.stores.audit,
        process.stores.alerts,
        process.stores.pauses,
        process.platform.probes,
        process.stores.clock,
    )
    outcomes = polling.each([institution, other], "a test", broken, lambda _one, _error: 1)
    assert [outcome.error is None for outcome in outcomes] == [False, True]


def test_a_row_that_was_removed_withdraws_its_open_case_and_no_other(world: World) -> None:
    process, institution = installed(world)
    world.control.assessors(paused=True)
    world.send(process)
    gone = next(case for case in world.control.cases())
    world.control.withdraw(gone["caseId"], how="removed")

    (outcome,) = process.capability(Explanations).reader.read_new([institution], reach_back=timedelta(days=14))

    assert outcome.counts["removed"] == 1
    withdrawn = list(world.database.cases.find({"state": "withdrawn"}))
    assert [case["personlopenr"] for case in withdrawn] == [gone["personlopenr"]]
    (entry,) = world.audit(step="compare", correlationId=withdrawn[0]["correlationId"])
    assert entry["detail"] == {"outcome": "withdrawn", "because": "row_removed"}


def test_a_case_that_is_registered_with_us_and_open_in_fs_is_handed_on_once_it_is_seen(world: World) -> None:
    process, institution = installed(world)
    before = rows_of(process, institution)
    world.carry(process)
    asked: list[Case] = []

    def reopened(_institution: Institution, cases: Sequence[Case]) -> Sequence[NewMessage]:
        asked.extend(cases)
        return ()

    taken = intake(process, reopened).take(institution, before, process.stores.clock.now())

    assert taken.reopened == len(asked) == 4
    assert {case.state.value for case in asked} <= {"registered", "shown"}


def test_an_unreadable_case_does_not_stop_the_comparison(world: World) -> None:
    process, institution = installed(world)
    world.send(process)
    document = world.database.cases.find_one() or {}
    world.database.cases.insert_one(
        {**document, "_id": "poison", "correlationId": "poison", "state": "nobody knows", "personlopenr": 1}
    )

    (outcome,) = process.capability(Explanations).reader.read_new([institution], reach_back=timedelta(days=14))

    assert outcome.error is None
    assert outcome.counts["open"] + outcome.counts["finished"] == 4


def test_an_unreadable_case_is_alerted_and_compared_once_it_is_corrected(world: World) -> None:
    """The alert's action is followed: the case is found by its correlation id, corrected, and compared by the next poll."""
    process, institution = installed(world)
    world.send(process)
    document = world.database.cases.find_one() or {}
    broken = {**document, "_id": "poison-1", "correlationId": "poison-1", "personlopenr": 1}
    del broken["state"]
    world.database.cases.insert_one(broken)

    for _ in range(2):
        process.capability(Explanations).reader.read_new([institution], reach_back=timedelta(days=14))
    process.relay.send_alerts()

    (alert,) = world.database.alerts.find({"code": "casebridge.case_unreadable"})
    assert alert["correlationIds"] == ["poison-1"], "folded: one alert, however often it is read"
    (text,) = (message["message"]["text"] for message in world.control.slack_messages())
    assert "casebridge.case_unreadable" in text
    assert "poison-1" in text
    assert "oai.begrunnelser" in text
    world.database.cases.update_one({"correlationId": "poison-1"}, {"$set": {"state": "requested"}})
    process.capability(Explanations).reader.read_new([institution], reach_back=timedelta(days=14))
    corrected = world.database.cases.find_one({"_id": "poison-1"}) or {}
    assert corrected["state"] == "withdrawn", "compared again: FS has no such row"


def test_failures_in_a_row_are_counted_across_processes(world: World) -> None:
    world.populate(**PLAIN)
    world.send(world.process())
    world.control.faults({"system": "wiseflow", "method": "GET", "kind": "status", "status": 503})
    for _ in range(3):
        process = world.process()  # each `casebridge sync` is a process of its own
        (institution,) = process.stores.institutions.active()
        poll_answers(process, [institution])

    assert Watermarks(world.database, process.stores.clock, ANSWERS).get(institution).failures == 3
    (alert,) = world.database.alerts.find({"code": "wiseflow.http_503"})
    assert "flow " in alert["cause"]
    assert "replay" not in alert["nextAction"]
    assert "message" not in alert["nextAction"]

    world.control.clear_faults()
    poll_answers(process, [institution])
    assert Watermarks(world.database, process.stores.clock, ANSWERS).get(institution).failures == 0


def test_a_passed_deadline_is_alerted_once_per_case(world: World) -> None:
    process, institution = installed(world, requests=0)
    world.control.assessors(paused=True)
    for _ in range(2):
        world.control.add_request(institution.org_id, datoKlageMottat="2026-10-01", frist="2026-10-15")
        for _ in range(3):
            world.send(process)

    (alert,) = world.database.alerts.find({"code": "case.deadline_passed"})
    cases = list(world.database.cases.find())
    assert sorted(alert["correlationIds"]) == sorted(case["correlationId"] for case in cases)
    assert alert["notes"] == dict.fromkeys(alert["correlationIds"], "deadline 2026-10-15")
    assert "dueAt" in alert, "the second one came after the first was told, and is told an hour later"


@dataclass(frozen=True)
class LateAtOnce(TimeLimit):
    """It is late as soon as the poll of one institution has begun."""

    asked: Iterator[int] = field(default_factory=itertools.count)

    @property
    def is_late(self) -> bool:
        return next(self.asked) > 0


def test_exams_that_are_not_read_in_time_become_messages_and_the_watermark_moves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, institution = installed(world)
    now = TimeLimit.of(1000.0)
    monkeypatch.setattr(TimeLimit, "of", lambda _seconds: LateAtOnce(now.begin_until, now.end))
    (outcome,) = process.capability(Explanations).reader.read_new([institution], budget_seconds=1000.0)

    assert outcome.counts["exams_left"] == outcome.counts["exams"] > 0
    assert process.capability(Explanations).watermarks.get(institution).since is not None
    process.synchronisation.run_batch()
    assert world.control.summary()["dispatched"] == 4


@pytest.mark.parametrize(
    ("misstated", "held"),
    [
        pytest.param({"personlopenr": None}, "exam", id="a row that does not say whose it is: its exam"),
        pytest.param({"personlopenr": ["x"]}, "exam", id="nor this one"),
        pytest.param({"kandidatnr": "x"}, "person", id="a row whose person is known: that person"),
    ],
)
def test_a_misstated_row_delays_only_removals_that_it_may_concern(
    misstated: dict[str, Any], held: str, world: World
) -> None:
    process, institution = installed(world, courses=1, requests=0)
    world.control.assessors(paused=True)
    exams: list[list[dict[str, Any]]] = []
    for _ in range(2):
        first = world.control.add_request(institution.org_id)
        exams.append([first, world.control.add_request(institution.org_id, examId=first["examId"])])
    world.send(process)
    known = {(case["vurdId"], case["personlopenr"]): case["_id"] for case in world.database.cases.find()}
    (bad, neighbour), others = exams
    for case in (bad, neighbour, *others):
        world.control.withdraw(case["caseId"], how="removed")

    rows = [dict(row) for exam in rows_removed(bad, misstated) for row in exam]
    read = [ExamRows(bad["examId"], rows, whole=True), ExamRows(others[0]["examId"], [], whole=True)]
    taken = intake(process).take(institution, read, process.stores.clock.now())

    withdrawn = {case["_id"] for case in world.database.cases.find({"state": "withdrawn"})}
    expected = [*others, *([neighbour] if held == "person" else [])]
    assert withdrawn == {known[case["examId"], case["personlopenr"]] for case in expected}
    assert (taken.removed, taken.unreadable) == (len(expected), 1)


def rows_removed(bad: dict[str, Any], misstated: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The one row that FS still has on the exam is malformed."""
    row = {
        "examId": bad["examId"],
        "personlopenr": bad["personlopenr"],
        "kandidatnr": bad["kandidatnr"],
        "datoKlageMottat": "2026-09-14",
    }
    return [[{**row, **misstated}]]


@pytest.mark.parametrize("status", [404, 403])
def test_many_exams_that_are_all_refused_are_one_failure_of_the_poll(status: int, world: World) -> None:
    """A wrong path or a wrong institution number: hundreds of dead messages would not help."""
    process, institution = installed(world, courses=8, requests=24)
    exams = len({case["examId"] for case in world.control.cases()})
    assert exams > 5
    world.control.faults(
        {"system": "fs", "method": "GET", "path": "/begrunnelser/", "kind": "status", "status": status}
    )

    for _ in range(2):
        (outcome,) = process.capability(Explanations).reader.read_new([institution])
        assert outcome.error is not None
        assert outcome.error.code == "fs.exams_refused"
    process.synchronisation.run_batch()

    assert world.database.messages.count_documents({}) == 0
    assert process.capability(Explanations).watermarks.get(institution).since is None
    assert not process.stores.pauses.paused(), "messages of other exams go on"
    (alert,) = world.database.alerts.find()
    assert alert["code"] == "fs.exams_refused"
    assert f"{exams} exams" in alert["cause"]
    assert "CASEBRIDGE_FS__EXAM_PATH" in alert["nextAction"]
    assert "replay" not in alert["nextAction"]

    world.control.clear_faults()
    world.carry_until(process, lambda: world.control.summary()["registered"] == 24, "all are registered")


def test_refused_exams_are_reported_one_by_one_if_another_exam_is_read(world: World) -> None:
    process, institution = installed(world, courses=8, requests=24)
    exams = sorted({case["examId"] for case in world.control.cases()})
    world.control.faults(
        *(
            {"system": "fs", "method": "GET", "path": f"/begrunnelser/WISEFLOW/{exam}", "kind": "status", "status": 404}
            for exam in exams[1:]
        )
    )
    (outcome,) = process.capability(Explanations).reader.read_new([institution])

    assert outcome.error is None
    assert outcome.counts["exams_left"] == len(exams) - 1
    assert process.capability(Explanations).watermarks.get(institution).since is not None


def test_a_few_refused_exams_are_reported_one_by_one_even_if_no_other_changed(world: World) -> None:
    process, institution = installed(world, courses=2, requests=4)
    world.control.faults({"system": "fs", "method": "GET", "path": "/begrunnelser/", "kind": "status", "status": 404})
    (outcome,) = process.capability(Explanations).reader.read_new([institution])

    assert outcome.error is None
    assert process.capability(Explanations).watermarks.get(institution).since is not None
    process.synchronisation.run_batch()
    assert {message["errors"][-1]["code"] for message in dead_messages(world)} == {"fs.exam_unknown"}
