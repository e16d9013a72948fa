"""An alert names each case that is listed nowhere else, whenever the case comes. One cause sends one message an hour at most."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final

import pytest

from casebridge.alerts.alert import Alert
from casebridge.alerts.channel import alert_text
from casebridge.clock import ServerClock
from casebridge.exams.explanations.moved_deadlines import MovedDeadlines
from casebridge.institutions.institution import Institution
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.support.added_cases import add, ours
from tests.support.case_alerters import ALERTERS, case, case_id, moved
from tests.support.shifted_clock import ShiftedClock
from tests.support.world import World

HOUR: Final = timedelta(hours=1)
MINUTES: Final = timedelta(minutes=10)


@pytest.fixture
def clock(world: World) -> ShiftedClock:
    return ShiftedClock(ServerClock(world.database.server_time))


@pytest.fixture
def process(world: World, clock: ShiftedClock) -> Process:
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    return world.process(clock)


@pytest.fixture
def institution(process: Process) -> Institution:
    (institution,) = process.stores.institutions.active()
    return institution


def texts(world: World) -> list[str]:
    return [message["message"]["text"] for message in world.control.slack_messages()]


def named(text: str) -> list[str]:
    """The cases in the last line, without the case in the command."""
    (line,) = re.findall(r"^Cases: (.*) \(`casebridge where", text, re.M)
    return re.findall(r"0198c0ff-[0-9a-f-]+", line)


def plain(institution: Institution, number: int) -> Alert:
    return Alert(
        institution=institution.key,
        org_id=institution.org_id,
        submodule="wiseflow-begrunnelse",
        step="find_exam",
        code="wiseflow.flow_missing",
        cause="No flow.",
        next_action="Connect it.",
        correlation_id=case_id(number),
        set_aside=True,
    )


# Folding


def test_a_case_that_fails_after_the_alert_was_sent_is_named_at_the_end_of_the_hour(
    world: World, process: Process, clock: ShiftedClock, institution: Institution
) -> None:
    process.stores.alerts.enqueue(plain(institution, 1))
    process.relay.send_alerts()
    clock.pass_time(MINUTES)
    process.stores.alerts.enqueue(plain(institution, 2))
    process.relay.send_alerts()
    assert [named(text) for text in texts(world)] == [[case_id(1)]]
    assert process.stores.alerts.pending() == 0, "nothing is late"

    clock.pass_time(HOUR - MINUTES)
    process.relay.send_alerts()
    process.relay.send_alerts()

    assert [named(text) for text in texts(world)] == [[case_id(1)], [case_id(2)]]
    assert list(world.database.alerts.find({"dueAt": {"$exists": True}})) == []


def test_a_case_that_keeps_failing_is_alerted_once_an_hour(
    world: World, process: Process, clock: ShiftedClock, institution: Institution
) -> None:
    for _ in range(13):
        process.stores.alerts.enqueue(plain(institution, 1))
        process.relay.send_alerts()
        clock.pass_time(MINUTES)

    assert [named(text) for text in texts(world)] == [[case_id(1)]] * 3


def test_at_most_one_message_an_hour_however_the_cases_come(
    world: World, process: Process, clock: ShiftedClock, institution: Institution
) -> None:
    told_at: list[datetime] = []
    for number in range(40):
        process.stores.alerts.enqueue(plain(institution, number))
        told_at += [clock.now()] * process.relay.send_alerts()
        clock.pass_time(timedelta(minutes=7))
    clock.pass_time(HOUR)
    process.relay.send_alerts()

    assert all(after - before >= HOUR for before, after in pairwise(told_at))
    counted = sum(len(named(text)) + int((re.findall(r"and (\d+) more", text) or ["0"])[0]) for text in texts(world))
    assert counted == 40, "each is told of, once"


def test_a_case_that_comes_while_the_alert_is_sent_is_in_the_next_one(
    world: World, process: Process, clock: ShiftedClock, institution: Institution
) -> None:
    process.stores.alerts.enqueue(plain(institution, 1))
    (claimed,) = process.stores.alerts.claim(5, timedelta(minutes=1))
    process.stores.alerts.enqueue(plain(institution, 2))
    process.stores.alerts.settle(claimed, "sent")
    process.relay.send_alerts()
    assert texts(world) == []

    clock.pass_time(HOUR)
    process.relay.send_alerts()

    assert [named(text) for text in texts(world)] == [[case_id(2)]]


def test_after_an_alert_that_was_sent_but_not_settled_the_next_names_the_new_cases(
    world: World, process: Process, clock: ShiftedClock, institution: Institution, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.stores.alerts.enqueue(plain(institution, 1))
    monkeypatch.setattr(
        process.stores.alerts, "settle", lambda _alert, _state: (_ for _ in ()).throw(ValueError("away"))
    )
    process.relay.send_alerts()
    monkeypatch.undo()
    process.stores.alerts.enqueue(plain(institution, 2))
    clock.pass_time(HOUR)
    process.relay.send_alerts()
    assert [named(text) for text in texts(world)] == [[case_id(1)]]

    clock.pass_time(HOUR)
    process.relay.send_alerts()

    assert [named(text) for text in texts(world)] == [[case_id(1)], [case_id(2)]]


def test_a_muted_cause_is_alerted_when_it_is_no_longer_muted(
    world: World, process: Process, clock: ShiftedClock, institution: Institution
) -> None:
    world.database.slack_blacklists.insert_one({"pattern": "flow_missing", "reason": "known"})
    process.stores.alerts.enqueue(plain(institution, 1))
    process.relay.send_alerts()
    process.stores.alerts.enqueue(plain(institution, 2))
    world.database.slack_blacklists.delete_many({})
    clock.pass_time(HOUR)
    process.relay.send_alerts()

    assert [named(text) for text in texts(world)] == [[case_id(2)]]


def test_cases_are_added_to_an_alert_of_an_earlier_release(
    world: World, process: Process, clock: ShiftedClock, institution: Institution
) -> None:
    process.stores.alerts.enqueue(plain(institution, 1))
    process.relay.send_alerts()
    world.database.alerts.update_many({}, {"$unset": {"toldIds": "", "notes": "", "addedBy": ""}})
    process.stores.alerts.enqueue(plain(institution, 2))
    clock.pass_time(HOUR)
    process.relay.send_alerts()

    assert case_id(2) in named(texts(world)[-1])
    assert len(texts(world)) == 2


@pytest.mark.parametrize("field", ["toldIds", "notes", "addedBy", "furtherCases", "listsCases", "dueAt"])
def test_an_alert_is_sent_whatever_values_its_fields_have(
    field: str, world: World, process: Process, clock: ShiftedClock, institution: Institution
) -> None:
    for value in (None, 7, "x", [], [7], {"a": 1}, {"$gt": 1}, 1e300, True):
        world.database.alerts.delete_many({})
        process.stores.alerts.enqueue(plain(institution, 1))
        process.relay.send_alerts()
        before = len(texts(world))
        (row,) = world.database.alerts.find()
        world.database.alerts.replace_one({"_id": row["_id"]}, {**row, field: value})
        process.stores.alerts.enqueue(plain(institution, 2))
        clock.pass_time(HOUR)
        process.stores.alerts.enqueue(plain(institution, 3))
        for _ in range(3):
            clock.pass_time(HOUR)
            process.relay.send_alerts()
        sent = "".join(texts(world)[before:])
        assert case_id(2) in sent, repr(value)
        assert case_id(3) in sent, repr(value)


# Cases that only an alert lists


@pytest.mark.parametrize(
    ("code", "is_sent_between"), [*((code, True) for code in ALERTERS), (next(iter(ALERTERS)), False)]
)
def test_each_case_is_named(
    code: str, is_sent_between: bool, world: World, process: Process, clock: ShiftedClock, institution: Institution
) -> None:
    """There are 120 cases. The first is alerted before the others come, and all are named in a few messages, one an hour."""
    cases = [case(number, institution) for number in range(1, 121)]
    world.database.cases.insert_many(one.document for one in cases)
    ALERTERS[code](process, institution, cases[:1])
    if is_sent_between:
        process.relay.send_alerts()
    ALERTERS[code](process, institution, cases[1:])
    assert process.relay.send_alerts() == (0 if is_sent_between else 1)
    while process.relay.send_alerts() or world.database.alerts.count_documents({"dueAt": {"$exists": True}}):
        clock.pass_time(HOUR)

    (alert,) = world.database.alerts.find()
    assert (alert["code"], alert["state"]) == (code, "sent")
    sent = [key for text in texts(world) for key in named(text)]
    assert sorted(sent) == [case_id(number) for number in range(1, 121)], "each once"
    assert 3 <= len(texts(world)) <= 6
    assert all(len(text) < 4000 and "shortened" not in text for text in texts(world))
    for text in texts(world)[int(is_sent_between) : -1]:
        assert "more come with the next message" in text


def test_an_alert_has_the_last_value_of_a_moved_deadline(
    world: World, process: Process, clock: ShiftedClock, institution: Institution
) -> None:
    one, other = case(1, institution), case(2, institution)
    world.database.cases.insert_many([one.document, other.document])
    deadlines = MovedDeadlines(process.capability(Explanations).cases, process.stores.alerts)
    for moves in ([(one, 15)], [(one, 16)], [(other, 20), (one, 15)], [(one, 17)]):
        deadlines.alert([moved(each, date(2031, 1, day)) for each, day in moves])
        process.relay.send_alerts()
        clock.pass_time(MINUTES)
    clock.pass_time(HOUR)
    process.relay.send_alerts()

    first, last = texts(world)
    assert f"{case_id(1)} (now 2031-01-15)" in first
    assert f"{case_id(1)} (now 2031-01-17)" in last
    assert f"{case_id(2)} (now 2031-01-20)" in last


def test_a_deadline_that_moves_while_the_alert_is_sent_is_in_the_next_one(
    world: World, process: Process, clock: ShiftedClock, institution: Institution
) -> None:
    one = case(1, institution)
    world.database.cases.insert_one(one.document)
    deadlines = MovedDeadlines(process.capability(Explanations).cases, process.stores.alerts)
    deadlines.alert([moved(one, date(2031, 1, 15))])
    (claimed,) = process.stores.alerts.claim(5, timedelta(minutes=1))
    deadlines.alert([moved(one, date(2031, 1, 16))])
    process.stores.alerts.settle(claimed, "sent")
    clock.pass_time(HOUR)
    process.relay.send_alerts()

    (text,) = texts(world)
    assert f"{case_id(1)} (now 2031-01-16)" in text


def test_an_alert_names_ten_cases_with_moved_deadlines(world: World, process: Process, clock: ShiftedClock) -> None:
    """As it really happens: deadlines are moved in FS, and each request comes again."""
    world.control.assessors(paused=True)
    asked = [add(world) for _ in range(10)]
    world.send(process)
    before = len(texts(world))
    for one in asked:
        world.control.change(one["caseId"], frist="2031-01-15")
        world.send(process)
    clock.pass_time(HOUR)
    process.relay.send_alerts()

    sent = "\n".join(texts(world)[before:])
    assert len(texts(world)) - before == 2
    for one in asked:
        assert sent.count(f"{ours(world, one)['correlationId']} (now 2031-01-15)") == 1


@pytest.mark.parametrize("length", [1, 36, 200, 5000])
def test_a_list_is_never_longer_than_slack_takes(length: int, process: Process, institution: Institution) -> None:
    alert = Alert(
        institution=institution.key, org_id=institution.org_id, submodule="deadlines", step="compare", code="case.row_gone",
        cause="c" * 800, next_action="n" * 800, cases={f"{number:0{length}d}": "now 2031-01-15" for number in range(300)},
    )  # fmt: skip
    process.stores.alerts.enqueue(alert)
    (claimed,) = process.stores.alerts.claim(5, HOUR)

    assert len(alert_text(claimed)) < 4000
    assert claimed["correlationIds"]


def test_a_case_whose_name_may_not_be_shown_is_alerted_once(
    world: World, process: Process, clock: ShiftedClock, institution: Institution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alert shows a replacement for the stored name. The case is alerted once, not every hour for ever."""
    whole = process.stores.names.of_document
    monkeypatch.setattr(process.stores.names, "of_document", lambda row: {**whole(row), "correlationIds": ["unknown"]})
    process.stores.alerts.enqueue(plain(institution, 1))
    for _ in range(4):
        process.relay.send_alerts()
        clock.pass_time(HOUR)

    (text,) = texts(world)
    assert "Cases: unknown" in text


@pytest.mark.parametrize("lists_cases", [True, False])
def test_no_case_is_lost_when_many_are_added_while_the_alert_is_sent(
    lists_cases: bool, world: World, process: Process, clock: ShiftedClock, institution: Institution
) -> None:
    def enqueue(first: int) -> None:
        for number in range(first, first + 5):
            alert = plain(institution, number)
            process.stores.alerts.enqueue(
                replace(alert, cases={case_id(number): f"word {number}"}) if lists_cases else alert
            )

    with ThreadPoolExecutor(8) as pool:
        at_work = [pool.submit(enqueue, first) for first in range(0, 40, 5)]
        while not all(one.done() for one in at_work):
            process.relay.send_alerts()
            clock.pass_time(HOUR)
        for one in at_work:
            one.result()
    while process.relay.send_alerts() or world.database.alerts.count_documents({"dueAt": {"$exists": True}}):
        clock.pass_time(HOUR)

    counted = sum(len(named(text)) + int((re.findall(r"and (\d+) more", text) or ["0"])[0]) for text in texts(world))
    if lists_cases:
        assert {key for text in texts(world) for key in named(text)} == {case_id(number) for number in range(40)}
    else:
        assert counted >= 40


@pytest.mark.parametrize("days", [1, 70])
def test_a_long_folding_time_is_kept(days: int, world: World, clock: ShiftedClock, institution: Institution) -> None:
    """A folding time of days is allowed. No alert is repeated before its end."""
    world.configure(slack={"fold_minutes": days * 24 * 60.0})
    process = world.process(clock)
    for number in (1, 2, 3):
        process.stores.alerts.enqueue(plain(institution, number))
        process.relay.send_alerts()
    assert len(texts(world)) == 1

    clock.pass_time(timedelta(days=days))
    process.relay.send_alerts()

    assert [named(text) for text in texts(world)] == [[case_id(1)], [case_id(2), case_id(3)]]


def test_processes_that_fold_differently_do_not_repeat_each_others_alerts(
    world: World, clock: ShiftedClock, institution: Institution
) -> None:
    shorter = world.process(clock)
    world.configure(slack={"fold_minutes": 70 * 24 * 60.0})
    longer = world.process(clock)
    for number in (1, 2):
        longer.stores.alerts.enqueue(plain(institution, number))
        longer.relay.send_alerts()

    for _ in range(3):
        shorter.stores.alerts.enqueue(plain(institution, 2))
        shorter.relay.send_alerts()
        longer.relay.send_alerts()

    assert [named(text) for text in texts(world)] == [[case_id(1)]]
