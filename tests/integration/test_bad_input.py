"""Whatever FS and WISEflow send: a clear audited error, nothing lost, and nobody else's case is touched."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from casebridge.messaging.message import UNFINISHED
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.bridge import Bridge
from tests.failures import check_nothing_is_lost, check_told, dead_messages, told_failures
from tests.world import World

PLAIN: dict[str, Any] = {"institutions": 2, "courses": 2, "requests": 4, "variety": False}
OTHERS = 4
"""Requests of `PLAIN`, in which nothing is odd."""


def settled(world: World) -> bool:
    """Nothing is on its way any more."""
    waiting = {"status": {"$in": [status.value for status in UNFINISHED]}}
    return world.database.messages.count_documents(waiting) == 0


def first_org(population: dict[str, Any]) -> str:
    return str(population["institutions"][0]["orgId"])


def requests_of(world: World, org_id: str) -> int:
    return sum(case["orgId"] == org_id for case in world.control.cases())


def carry(world: World, bridge: Bridge | None = None) -> Bridge:
    bridge = bridge or world.bridge()
    world.carry_until(bridge, lambda: settled(world), "every message is processed or dead")
    return bridge


# One request that cannot be carried


@pytest.mark.parametrize(
    ("order", "code", "step"),
    [
        ({"oddity": "no_candidate"}, "wiseflow.participant_missing", "find_candidate"),
        ({"oddity": "no_flow"}, "wiseflow.flow_missing", "find_exam"),
        ({"oddity": "two_flows"}, "wiseflow.flow_ambiguous", "find_exam"),
        ({"oddity": "explanations_off"}, "wiseflow.explanations_off", "request_explanation"),
        ({"omit": ["personlopenr"]}, "fs.row_unreadable", "find_exam"),
        ({"raw": {"kandidatnr": "tusen og én"}, "expected": "invalid_row"}, "fs.row_unreadable", "find_exam"),
        ({"raw": {"datoKlageMottat": "i går"}, "expected": "invalid_row"}, "fs.row_unreadable", "find_exam"),
        ({"raw": {"examId": "%%%"}, "expected": "invalid_row"}, "fs.row_unreadable", "find_exam"),
        ({"raw": {"personlopenr": 10**30}, "expected": "invalid_row"}, "fs.row_unreadable", "find_exam"),
        (
            {"omit": ["personlopenr"], "raw": {"$set": {"a.b": 10**30}, "": None}, "expected": "invalid_row"},
            "fs.row_unreadable",
            "find_exam",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_a_request_that_cannot_be_carried_is_set_aside_in_sight(
    order: dict[str, Any], code: str, step: str, world: World
) -> None:
    org_id = first_org(world.populate(**PLAIN))
    world.control.add_request(org_id, **order)

    carry(world)

    check_told(world, code, step)
    check_nothing_is_lost(world)
    assert world.control.summary()["registered"] == OTHERS
    (message,) = dead_messages(world)
    cases = list(world.database.cases.find({"setAside": code}))
    assert [case["correlationId"] for case in cases] == (
        [] if code == "fs.row_unreadable" else [message["correlationId"]]
    )


def test_an_unreadable_row_is_taken_once_however_often_it_is_read(world: World) -> None:
    org_id = first_org(world.populate(**PLAIN))
    world.control.add_request(org_id, omit=["kandidatnr"])

    bridge = carry(world)
    carry(world, bridge)

    assert len(dead_messages(world)) == 1
    assert len(told_failures(world, "fs.row_unreadable")) == 1


def test_an_unknown_state_is_told_with_each_poll_and_hides_nobody(world: World) -> None:
    org_id = first_org(world.populate(**PLAIN))
    added = world.control.add_request(org_id, oddity="unknown_state")
    world.control.add_request(org_id, examId=added["examId"])

    bridge = carry(world)
    carry(world, bridge)

    entries = told_failures(world, "wiseflow.state_unknown")
    assert {entry["correlationId"] for entry in entries} == {f"{org_id}/test"}
    summary = world.control.summary()
    assert (summary["registered"], summary["outstanding"]) == (OTHERS + 1, 0)
    assert world.database.cases.count_documents({"state": "dispatched"}) == 1, "it stays open"
    assert world.database.alerts.count_documents({"code": "wiseflow.state_unknown"}) == 1


@pytest.mark.parametrize("missing", ["all", "payload", "correlationId", "enqueuedAt", "orgId", "steps"])
def test_a_document_in_the_queue_that_nobody_can_read_stops_nobody(missing: str, world: World) -> None:
    """Written by hand, or by another program: it goes the way of every message that fails, and does not kill its worker."""
    world.populate(**PLAIN)
    bridge = world.bridge()
    bridge.synchronisation.read_requests(bridge.institutions.active())
    (whole, *_) = world.database.messages.find()
    broken = {"dueAt": whole["dueAt"]} if missing == "all" else {**whole, "orderingKey": "broken", "payload": {}}
    broken.pop(missing, None)
    world.database.messages.insert_one({**broken, "_id": "broken"})

    carry(world, bridge)

    assert world.control.summary()["registered"] == OTHERS
    (dead,) = dead_messages(world)
    assert dead["_id"] == "broken"
    (failure, *_) = told_failures(world, dead["errors"][-1]["code"])
    assert failure["correlationId"] == dead["correlationId"]
    status = bridge.status.read()
    assert (status.dead, len(status.failures)) == (1, 1)
    assert world.database.alerts.count_documents({"setAside": True}) == 1
    replay_all(bridge)
    carry(world, bridge)
    assert len(dead_messages(world)) == 1


# Texts


@pytest.mark.parametrize("justification", ["comment", "justification"])
def test_answers_in_html_are_registered_as_a_person_reads_them(justification: str, world: World) -> None:
    world.control.modes(justification=justification, comment_format="html")
    org_id = first_org(world.populate(**PLAIN))
    world.control.add_request(org_id, answer_text="Drøfter R&D, a < b og <p>:\n- én\n- to\n\nKarakter: C\xa0(god)")

    carry(world)

    check_nothing_is_lost(world)
    assert world.control.summary()["registered"] == OTHERS + 1


@pytest.mark.parametrize("justification", ["comment", "justification"])
def test_a_text_of_a_megabyte_is_registered_whole(justification: str, world: World) -> None:
    world.control.modes(justification=justification)
    org_id = first_org(world.populate(**PLAIN))
    text = "Æ" * 500_000 + " slutt."
    world.control.add_request(org_id, answer_text=text)

    carry(world)

    check_nothing_is_lost(world)
    assert world.control.summary()["registered"] == OTHERS + 1
    assert not dead_messages(world)


def test_control_characters_go_and_everything_readable_stays(world: World) -> None:
    org_id = first_org(world.populate(**{**PLAIN, "requests": 0}))
    text = "\ufeffBra!\x00\x07 👩‍🎓🇳🇴 \x1b[31mrødt\x1b[0m\r\n\tæøå Ω ½ \u202eomvendt \x7f"
    added = world.control.add_request(org_id, answer_text=text)

    bridge = carry(world)

    (institution,) = (one for one in bridge.institutions.active() if one.org_id == org_id)
    (row,) = bridge.outside.student_registry(institution).explanation_rows(added["examId"])
    assert row["begrunnelse"]["tekst"] == text.replace("\x00", "").replace("\x07", "").replace("\x1b", "")


@pytest.mark.parametrize(
    "text",
    [
        " \n ",
        "<p><br></p>",
        "<p>&nbsp;</p>",
        "\u200b\u200c\ufeff",
        "\u00ad\u2060",
        "<p>&shy;&#8203;</p>",
        "\u0301",
        "\u3164",
    ],
)
@pytest.mark.parametrize("justification", ["comment", "justification"])
def test_an_answer_without_anything_to_see_is_never_registered(justification: str, text: str, world: World) -> None:
    world.control.modes(justification=justification)
    org_id = first_org(world.populate(**PLAIN))
    world.control.add_request(org_id, answer_text=text)

    carry(world)

    check_told(world, "wiseflow.answer_empty", "fetch_answer")
    check_nothing_is_lost(world)


# Answers of servers and of what stands in front of them

CALLS = {
    "list of changes": ("fs", "GET", "/begrunnelse/WISEFLOW$"),
    "rows of an exam": ("fs", "GET", "/begrunnelser/WISEFLOW/"),
    "registration": ("fs", "POST", "/begrunnelser/WISEFLOW$"),
    "token": ("wiseflow", "POST", "/oauth2/token$"),
    "search": ("wiseflow", "POST", "/sources/search$"),
    "flow": ("wiseflow", "GET", r"/flow/\d+$"),
    "participants": ("wiseflow", "GET", "/participants$"),
    "request": ("wiseflow", "POST", "/explanation/request$"),
    "requests of a flow": ("wiseflow", "GET", "/explanation/request$"),
    "one request": ("wiseflow", "GET", r"/explanation/request/\d+$"),
    "comments": ("wiseflow", "GET", "/submission-comments$"),
    "show": ("wiseflow", "PATCH", r"/explanation/request/\d+$"),
}


@pytest.mark.parametrize("kind", ["empty", "html"])
@pytest.mark.parametrize("call", CALLS)
def test_a_page_with_status_200_is_no_answer(call: str, kind: str, world: World) -> None:
    """Also where the call took effect and only its answer was replaced: then it is made again, and changes nothing."""
    system, method, path = CALLS[call]
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    world.database.orgs.update_many({}, {"$set": {"wiseflow.showJustification": True}})
    page = {"system": system, "method": method, "path": path, "kind": kind, "times": 1}
    world.control.faults(page, {**page, "after_effect": True})

    bridge = world.bridge()
    world.carry_until(
        bridge, lambda: settled(world) and world.control.summary()["outstanding"] == 0, "everything is registered"
    )
    world.carry(bridge)

    assert [rule["struck"] for rule in world.control.faults_in_force()] == [1, 1]
    assert told_failures(world, f"{system}.body_not_json")
    check_nothing_is_lost(world)
    assert world.control.summary()["shown"] == 2
    assert not dead_messages(world)


def test_a_page_that_stays_sets_aside_what_it_befalls_and_a_replay_registers_it(world: World) -> None:
    org_id = first_org(world.populate(**PLAIN))
    world.control.faults({"system": "fs", "method": "POST", "kind": "html", "orgId": org_id})
    bridge = carry(world)
    check_told(world, "fs.body_not_json", "register_explanation", messages=requests_of(world, org_id))
    assert all(message["attempts"] == 5 for message in dead_messages(world))
    check_nothing_is_lost(world)

    world.control.clear_faults()
    replay_all(bridge)
    carry(world, bridge)

    check_nothing_is_lost(world)
    assert world.control.summary()["registered"] == OTHERS


def replay_all(bridge: Bridge) -> None:
    bridge.dead_letters.replay(DeadLetterFilter(), Order(100, dry_run=False, reason="mended", asked_by="a test"))


@pytest.mark.parametrize(
    ("call", "status", "code", "step"),
    [
        ("registration", 400, "fs.refused", "register_explanation"),
        ("registration", 404, "fs.exam_unknown", "register_explanation"),
        ("registration", 409, "fs.finished_otherwise", "register_explanation"),
        ("registration", 418, "fs.http_418", "register_explanation"),
        ("search", 404, "wiseflow.search_unavailable", "find_exam"),
        ("flow", 404, "wiseflow.flow_unknown", "find_exam"),
        ("participants", 400, "wiseflow.http_400", "find_candidate"),
        ("request", 400, "wiseflow.request_refused", "request_explanation"),
        ("request", 403, "wiseflow.explanations_off", "request_explanation"),
        ("request", 404, "wiseflow.participant_unknown", "request_explanation"),
        ("one request", 404, "wiseflow.explanation_unknown", "fetch_answer"),
        ("comments", 403, "wiseflow.comments_off", "fetch_answer"),
    ],
)
def test_a_refusal_without_a_body_says_what_to_do_and_a_replay_goes_on(
    call: str, status: int, code: str, step: str, world: World
) -> None:
    system, method, path = CALLS[call]
    org_id = first_org(world.populate(institutions=2, courses=2, requests=2, variety=False))
    refusal = {"system": system, "method": method, "path": path, "kind": "status", "status": status, "orgId": org_id}
    world.control.faults(refusal)
    bridge = carry(world)
    check_told(world, code, step, messages=requests_of(world, org_id))
    check_nothing_is_lost(world)

    world.control.clear_faults()
    replay_all(bridge)
    carry(world, bridge)

    assert not dead_messages(world)
    assert world.control.summary()["registered"] == 2


@pytest.mark.parametrize("status", [400, 404, 418])
@pytest.mark.parametrize("call", ["list of changes"])
def test_a_poll_that_is_refused_without_a_body_is_told_and_begins_at_the_same_place(
    call: str, status: int, world: World
) -> None:
    system, method, path = CALLS[call]
    org_id = first_org(world.populate(**PLAIN))
    refusal = {"system": system, "method": method, "path": path, "kind": "status", "status": status, "orgId": org_id}
    world.control.faults(refusal)
    bridge = carry(world)
    entries = [entry for entry in world.audit(success=False) if entry["correlationId"] == f"{org_id}/test"]
    assert entries
    assert {entry["step"] for entry in entries} == {"poll"}
    assert told_failures(world, entries[0]["code"])
    assert world.control.summary()["registered"] == OTHERS - requests_of(world, org_id)

    world.control.clear_faults()
    carry(world, bridge)

    assert world.control.summary()["registered"] == OTHERS


@pytest.mark.parametrize("status", [400, 404, 418])
def test_a_list_of_a_flow_that_is_refused_stops_no_answer(status: int, world: World) -> None:
    """Each case's own message looks for its request alone."""
    system, method, path = CALLS["requests of a flow"]
    org_id = first_org(world.populate(**PLAIN))
    refusal = {"system": system, "method": method, "path": path, "kind": "status", "status": status, "orgId": org_id}
    world.control.faults(refusal)
    carry(world)
    assert world.control.summary()["registered"] == OTHERS


# FS's list of changes


def test_a_list_that_fs_refuses_stops_nobody_for_good(world: World) -> None:
    """`siden` in a format that FS cannot read: a setting to correct, and an alert that says so."""
    world.populate(**PLAIN)
    world.control.modes(fs_siden="unparsable")
    bridge = world.bridge()
    world.synchronise(bridge)
    assert len(told_failures(world, "fs.list_refused")) == 2
    assert world.database.alerts.count_documents({"code": "fs.list_refused"}) == 2
    assert world.control.summary()["registered"] == 0

    world.control.modes(fs_siden="normal")
    carry(world, bridge)

    assert world.control.summary()["registered"] == OTHERS


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "fs.http_400"), (403, "fs.exam_forbidden"), (404, "fs.exam_unknown"), (418, "fs.http_418")],
)
def test_an_exam_that_is_refused_is_set_aside_alone_and_a_replay_reads_it(status: int, code: str, world: World) -> None:
    org_id = first_org(world.populate(**PLAIN))
    refused = world.control.add_request(org_id)
    rule = {"system": "fs", "method": "GET", "path": refused["examId"], "kind": "status", "status": status}
    world.control.faults(rule)

    bridge = carry(world)

    check_told(world, code, "read_exam")
    assert not bridge.pauses.paused()
    assert world.control.summary()["registered"] == OTHERS
    institution = next(one for one in bridge.institutions.active() if one.org_id == org_id)
    assert bridge.watermarks.get(institution).since is not None
    assert bridge.watermarks.get(institution).failures == 0
    (alert,) = world.database.alerts.find({"code": code})
    assert "exam " in alert["cause"]
    assert str(refused["kandidatnr"]) not in alert["cause"]

    world.control.clear_faults()
    replay_all(bridge)
    carry(world, bridge)

    assert world.control.summary()["registered"] == OTHERS + 1


def test_a_line_without_a_time_is_told_of_and_its_request_is_read(world: World) -> None:
    world.control.modes(fs_list_shape="requests")
    org_id = first_org(world.populate(**PLAIN))
    world.control.add_request(org_id, raw={"sistEndret": "i går"})

    bridge = carry(world)

    check_told(world, "fs.line_unreadable", "read_exam")
    assert world.control.summary()["registered"] == OTHERS + 1
    institution = next(one for one in bridge.institutions.active() if one.org_id == org_id)
    assert bridge.watermarks.get(institution).since is not None


@pytest.mark.parametrize("shape", ["exams", "requests"])
def test_what_comes_twice_is_taken_once(shape: str, world: World) -> None:
    world.control.modes(fs_duplicates=True, fs_list_shape=shape)
    world.populate(**PLAIN)

    carry(world)

    check_nothing_is_lost(world)
    assert world.control.summary()["dispatched"] == OTHERS


def test_a_change_that_fs_dates_in_the_future_hides_no_later_one(world: World) -> None:
    """A wrong clock at FS, or a date typed wrongly: the watermark never runs ahead of the time that is."""
    world.control.modes(fs_list_shape="requests")
    org_id = first_org(world.populate(**PLAIN))
    tomorrow_in_ten_years = (datetime.now(UTC) + timedelta(days=3650)).isoformat()
    world.control.add_request(org_id, raw={"sistEndret": tomorrow_in_ten_years})
    bridge = carry(world)
    assert world.control.summary()["registered"] == OTHERS + 1

    world.control.add_request(org_id)
    carry(world, bridge)

    assert world.control.summary()["registered"] == OTHERS + 2
