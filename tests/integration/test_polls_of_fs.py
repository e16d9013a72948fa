"""What one item brings out stops no other, in each loop of a poll; what FS settles without us is seen; and people hear of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from casebridge import time_limit
from casebridge.exams.cases import Case
from casebridge.exams.exam_intake import ExamIntake, ExamRows
from casebridge.exams.institution import Institution
from casebridge.exams.polling import PollOutcome
from casebridge.exams.rows_gone import RowsGone
from casebridge.exams.watermarks import ANSWERS, Watermarks
from casebridge.messaging.message import NewMessage
from casebridge.time_limit import TimeLimit
from resources.bridge import Bridge
from tests.failures import dead_messages
from tests.unit.test_fs_rows import POISON
from tests.world import World

PLAIN: dict[str, Any] = {"institutions": 1, "courses": 2, "requests": 4, "variety": False}
SMALL_POISON = {name: fields for name, fields in POISON.items() if "deep" not in name}


def installed(world: World, **order: Any) -> tuple[Bridge, Institution]:
    world.populate(**{**PLAIN, **order})
    bridge = world.bridge()
    return bridge, bridge.institutions.active()[0]


def rows_of(bridge: Bridge, institution: Institution) -> list[ExamRows]:
    registry = bridge.outside.student_registry(institution)
    exams = registry.changed_exams(datetime(2020, 1, 1, tzinfo=UTC)).exams
    return [ExamRows(exam.vurd_id, registry.explanation_rows(exam.vurd_id), whole=True) for exam in exams]


def intake(bridge: Bridge, reopened: Any = lambda _institution, _cases: ()) -> ExamIntake:
    compare_gone = RowsGone(bridge.cases, bridge.alerts).compare
    return ExamIntake(bridge.queue, bridge.cases, bridge.audit, bridge.clock, reopened, compare_gone)


@pytest.mark.parametrize("fields", POISON.values(), ids=POISON)
def test_one_row_of_an_exam_stops_no_other(fields: dict[str, Any], world: World) -> None:
    bridge, institution = installed(world)
    exams = rows_of(bridge, institution)
    bad = ExamRows(exams[0].vurd_id, [{**exams[0].rows[0], "personlopenr": 1, **fields}, *exams[0].rows], whole=True)

    taken = intake(bridge).take(institution, [bad, *exams[1:]], bridge.clock.now())
    again = intake(bridge).take(institution, [bad, *exams[1:]], bridge.clock.now())
    bridge.synchronisation.run_batch()

    assert (taken.open, taken.unreadable, len(taken.accepted)) == (4, 1, 5)
    assert again.accepted == []
    assert world.control.summary()["dispatched"] == 4
    (dead,) = dead_messages(world)
    assert dead["errors"][-1]["code"] == "fs.row_unreadable"


@pytest.mark.parametrize("poison", [ValueError("x"), MemoryError(), SystemExit(1), RecursionError()], ids=repr)
def test_one_exam_of_a_list_and_one_institution_of_a_poll_stop_no_other(
    poison: BaseException, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge, institution = installed(world, courses=4, requests=8, institutions=2)
    other = bridge.institutions.active()[1]
    registry = bridge.outside.student_registry(institution)
    bad = registry.changed_exams(datetime(2020, 1, 1, tzinfo=UTC)).exams[0].vurd_id
    read = registry.explanation_rows

    def raising(vurd_id: str) -> Sequence[dict[str, Any]]:
        if vurd_id == bad:
            raise poison
        return read(vurd_id)

    monkeypatch.setattr(registry, "explanation_rows", raising)
    exams = len(registry.changed_exams(datetime(2020, 1, 1, tzinfo=UTC)).exams)
    (outcome, _) = bridge.reader.read_new([institution, other])
    if exams > 1:
        assert outcome.counts["exams_left"] == 1
        assert outcome.error is None
        assert bridge.watermarks.get(institution).since is not None
        monkeypatch.undo()
    bridge.synchronisation.run_batch()
    bridge.reader.read_new([institution, other])
    bridge.synchronisation.run_batch()
    assert not dead_messages(world)

    def broken(_institution: Institution, _error: object = None) -> PollOutcome:
        if _institution.key == institution.key:
            raise poison
        return PollOutcome(_institution.key)

    outcomes = bridge.reader._polling.each([institution, other], "a test", broken, lambda _one, _error: 1)
    assert [outcome.error is None for outcome in outcomes] == [False, True]


def test_a_row_that_was_removed_withdraws_its_open_case_and_no_other(world: World) -> None:
    bridge, institution = installed(world)
    world.control.assessors(paused=True)
    world.send(bridge)
    gone = next(case for case in world.control.cases())
    world.control.withdraw(gone["caseId"], how="removed")

    (outcome,) = bridge.reader.read_new([institution], reach_back=timedelta(days=14))

    assert outcome.counts["removed"] == 1
    withdrawn = list(world.database.cases.find({"state": "withdrawn"}))
    assert [case["personlopenr"] for case in withdrawn] == [gone["personlopenr"]]
    (entry,) = world.audit(step="compare", correlationId=withdrawn[0]["correlationId"])
    assert entry["detail"] == {"outcome": "withdrawn", "because": "row_removed"}


def test_a_case_that_is_registered_with_us_and_open_in_fs_is_handed_on_once_it_is_seen(world: World) -> None:
    bridge, institution = installed(world)
    before = rows_of(bridge, institution)
    world.carry(bridge)
    asked: list[Case] = []

    def reopened(_institution: Institution, cases: Sequence[Case]) -> Sequence[NewMessage]:
        asked.extend(cases)
        return ()

    taken = intake(bridge, reopened).take(institution, before, bridge.clock.now())

    assert taken.reopened == len(asked) == 4
    assert {case.state.value for case in asked} <= {"registered", "shown"}


def test_an_unreadable_case_does_not_stop_the_comparison(world: World) -> None:
    bridge, institution = installed(world)
    world.send(bridge)
    document = world.database.cases.find_one() or {}
    world.database.cases.insert_one(
        {**document, "_id": "poison", "correlationId": "poison", "state": "nobody knows", "personlopenr": 1}
    )

    (outcome,) = bridge.reader.read_new([institution], reach_back=timedelta(days=14))

    assert outcome.error is None
    assert outcome.counts["open"] + outcome.counts["finished"] == 4


def test_failures_in_a_row_are_counted_whoever_polls(world: World) -> None:
    world.populate(**PLAIN)
    world.send(world.bridge())
    world.control.faults({"system": "wiseflow", "method": "GET", "kind": "status", "status": 503})
    for _ in range(3):
        bridge = world.bridge()  # as each `casebridge sync` is a process of its own
        (institution,) = bridge.institutions.active()
        bridge.synchronisation.poll_answers([institution])

    assert Watermarks(world.database, bridge.clock, ANSWERS).get(institution).failures == 3
    (alert,) = world.database.alerts.find({"code": "wiseflow.http_503"})
    assert "flow " in alert["cause"]
    assert "replay" not in alert["nextAction"]
    assert "message" not in alert["nextAction"]

    world.control.clear_faults()
    bridge.synchronisation.poll_answers([institution])
    assert Watermarks(world.database, bridge.clock, ANSWERS).get(institution).failures == 0


def test_a_passed_deadline_is_told_once_a_case(world: World) -> None:
    bridge, institution = installed(world, requests=0)
    world.control.assessors(paused=True)
    for _ in range(2):
        world.control.add_request(institution.org_id, datoKlageMottat="2026-10-01", frist="2026-10-15")
        for _ in range(3):
            world.send(bridge)

    alerts = list(world.database.alerts.find({"code": "case.deadline_passed"}))
    cases = list(world.database.cases.find())
    assert sorted(alert["correlationIds"][0] for alert in alerts) == sorted(case["correlationId"] for case in cases)
    assert all("2026-10-15" in alert["cause"] for alert in alerts)


def test_what_is_not_read_in_time_becomes_messages_and_the_watermark_passes(world: World) -> None:
    bridge, institution = installed(world)
    now = TimeLimit.of(1000.0)
    late = TimeLimit(now.begin_until - 1000.0, now.end)
    with time_limit.within(late):
        outcome = bridge.reader._read(institution, datetime(2020, 1, 1, tzinfo=UTC), None, None)

    assert outcome.counts["exams_left"] == outcome.counts["exams"] > 0
    assert bridge.watermarks.get(institution).since is not None
    bridge.synchronisation.run_batch()
    assert world.control.summary()["dispatched"] == 4
