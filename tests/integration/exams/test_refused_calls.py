"""FS or WISEflow refuses calls, or answers with an HTML page. The failure is reported, nothing is lost, and a replay goes on."""

import pytest

from resources.wiring.explanations import Explanations
from tests.support.failures import check_nothing_is_lost, check_set_aside, dead_messages, reported_failures
from tests.support.malformed_world import OTHERS, PLAIN, carry, first_org, replay_all, requests_of, settled
from tests.support.world import World

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


@pytest.mark.parametrize(
    ("call", "kind"), [*((call, "html") for call in CALLS), *((call, "empty") for call in ("registration", "search"))]
)
def test_a_page_with_status_200_counts_as_a_failure(call: str, kind: str, world: World) -> None:
    """Also if the call took effect and only its answer was replaced. Then it is repeated and changes nothing."""
    system, method, path = CALLS[call]
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    world.database.orgs.update_many({}, {"$set": {"wiseflow.showJustification": True}})
    fault = {"system": system, "method": method, "path": path, "kind": kind, "times": 1}
    world.control.faults(fault, {**fault, "after_effect": True})

    process = world.process()
    world.carry_until(
        process, lambda: settled(world) and world.control.summary()["outstanding"] == 0, "everything is registered"
    )
    world.carry(process)

    assert [rule["struck"] for rule in world.control.faults_in_force()] == [1, 1]
    assert reported_failures(world, f"{system}.body_not_json")
    check_nothing_is_lost(world)
    assert world.control.summary()["shown"] == 2
    assert not dead_messages(world)


def test_a_lasting_page_sets_messages_aside_and_a_replay_registers_them(world: World) -> None:
    org_id = first_org(world.populate(**PLAIN))
    world.control.faults({"system": "fs", "method": "POST", "kind": "html", "orgId": org_id})
    process = carry(world)
    check_set_aside(world, "fs.body_not_json", "register_explanation", messages=requests_of(world, org_id))
    assert all(message["attempts"] == 5 for message in dead_messages(world))
    check_nothing_is_lost(world)

    world.control.clear_faults()
    replay_all(process)
    carry(world, process)

    check_nothing_is_lost(world)
    assert world.control.summary()["registered"] == OTHERS


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
    process = carry(world)
    check_set_aside(world, code, step, messages=requests_of(world, org_id))
    check_nothing_is_lost(world)

    world.control.clear_faults()
    replay_all(process)
    carry(world, process)

    assert not dead_messages(world)
    assert world.control.summary()["registered"] == 2


@pytest.mark.parametrize("status", [400, 404, 418])
@pytest.mark.parametrize("call", ["list of changes"])
def test_a_poll_refused_without_a_body_is_alerted_and_repeated_from_the_same_watermark(
    call: str, status: int, world: World
) -> None:
    system, method, path = CALLS[call]
    org_id = first_org(world.populate(**PLAIN))
    refusal = {"system": system, "method": method, "path": path, "kind": "status", "status": status, "orgId": org_id}
    world.control.faults(refusal)
    process = carry(world)
    entries = [entry for entry in world.audit(success=False) if entry["correlationId"] == f"{org_id}/test"]
    assert entries
    assert {entry["step"] for entry in entries} == {"poll"}
    assert reported_failures(world, entries[0]["code"])
    assert world.control.summary()["registered"] == OTHERS - requests_of(world, org_id)

    world.control.clear_faults()
    carry(world, process)

    assert world.control.summary()["registered"] == OTHERS


@pytest.mark.parametrize("status", [400, 404, 418])
def test_a_refused_list_of_a_flow_stops_no_answer(status: int, world: World) -> None:
    """Each case's own message reads its request alone."""
    system, method, path = CALLS["requests of a flow"]
    org_id = first_org(world.populate(**PLAIN))
    refusal = {"system": system, "method": method, "path": path, "kind": "status", "status": status, "orgId": org_id}
    world.control.faults(refusal)
    carry(world)
    assert world.control.summary()["registered"] == OTHERS


def test_a_list_that_fs_refuses_stops_no_case_for_ever(world: World) -> None:
    """FS cannot read the format of `siden`. A setting must be corrected, and an alert says so."""
    world.populate(**PLAIN)
    world.control.modes(fs_siden="unparsable")
    process = world.process()
    world.synchronise(process)
    assert len(reported_failures(world, "fs.list_refused")) == 2
    assert world.database.alerts.count_documents({"code": "fs.list_refused"}) == 2
    assert world.control.summary()["registered"] == 0

    world.control.modes(fs_siden="normal")
    carry(world, process)

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

    process = carry(world)

    check_set_aside(world, code, "read_exam")
    assert not process.stores.pauses.paused()
    assert world.control.summary()["registered"] == OTHERS
    institution = next(one for one in process.stores.institutions.active() if one.org_id == org_id)
    assert process.capability(Explanations).watermarks.get(institution).since is not None
    assert process.capability(Explanations).watermarks.get(institution).failures == 0
    (alert,) = world.database.alerts.find({"code": code})
    assert "exam " in alert["cause"]
    assert str(refused["kandidatnr"]) not in alert["cause"]

    world.control.clear_faults()
    replay_all(process)
    carry(world, process)

    assert world.control.summary()["registered"] == OTHERS + 1
