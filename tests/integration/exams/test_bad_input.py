"""Bad rows of FS and bad documents in the queue: each gives a clear audited error, nothing is lost, no other case is affected."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resources.wiring.explanations import Explanations
from tests.support.explanation_rounds import read_requests
from tests.support.failures import check_nothing_is_lost, check_set_aside, dead_messages, reported_failures
from tests.support.malformed_world import OTHERS, PLAIN, carry, first_org, replay_all
from tests.support.world import World


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
def test_a_request_that_cannot_be_handled_is_set_aside_and_alerted(
    order: dict[str, Any], code: str, step: str, world: World
) -> None:
    org_id = first_org(world.populate(**PLAIN))
    world.control.add_request(org_id, **order)

    carry(world)

    check_set_aside(world, code, step)
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

    process = carry(world)
    carry(world, process)

    assert len(dead_messages(world)) == 1
    assert len(reported_failures(world, "fs.row_unreadable")) == 1


def test_an_unknown_state_is_reported_by_each_poll_and_affects_no_other_case(world: World) -> None:
    org_id = first_org(world.populate(**PLAIN))
    added = world.control.add_request(org_id, oddity="unknown_state")
    world.control.add_request(org_id, examId=added["examId"])

    process = carry(world)
    carry(world, process)

    entries = reported_failures(world, "wiseflow.state_unknown")
    assert {entry["correlationId"] for entry in entries} == {f"{org_id}/test"}
    summary = world.control.summary()
    assert (summary["registered"], summary["outstanding"]) == (OTHERS + 1, 0)
    assert world.database.cases.count_documents({"state": "dispatched"}) == 1, "it stays open"
    assert world.database.alerts.count_documents({"code": "wiseflow.state_unknown"}) == 1


@pytest.mark.parametrize("missing", ["all", "payload", "correlationId", "enqueuedAt", "orgId", "steps"])
def test_an_unreadable_document_in_the_queue_blocks_no_other(missing: str, world: World) -> None:
    """A person or another program wrote it. It fails like any other message and does not stop its worker."""
    world.populate(**PLAIN)
    process = world.process()
    read_requests(process, process.stores.institutions.active())
    (whole, *_) = world.database.messages.find()
    broken = {"dueAt": whole["dueAt"]} if missing == "all" else {**whole, "orderingKey": "broken", "payload": {}}
    broken.pop(missing, None)
    world.database.messages.insert_one({**broken, "_id": "broken"})

    carry(world, process)

    assert world.control.summary()["registered"] == OTHERS
    (dead,) = dead_messages(world)
    assert dead["_id"] == "broken"
    (failure, *_) = reported_failures(world, dead["errors"][-1]["code"])
    assert failure["correlationId"] == dead["correlationId"]
    status = process.operators.status.read()
    assert (status.dead, len(status.failures)) == (1, 1)
    assert world.database.alerts.count_documents({"setAside": True}) == 1
    replay_all(process)
    carry(world, process)
    assert len(dead_messages(world)) == 1


def test_a_line_without_a_time_is_reported_and_its_request_is_read(world: World) -> None:
    world.control.modes(fs_list_shape="requests")
    org_id = first_org(world.populate(**PLAIN))
    world.control.add_request(org_id, raw={"sistEndret": "i går"})

    process = carry(world)

    check_set_aside(world, "fs.line_unreadable", "read_exam")
    assert world.control.summary()["registered"] == OTHERS + 1
    institution = next(one for one in process.stores.institutions.active() if one.org_id == org_id)
    assert process.capability(Explanations).watermarks.get(institution).since is not None


@pytest.mark.parametrize("shape", ["exams", "requests"])
def test_a_repeated_row_is_accepted_once(shape: str, world: World) -> None:
    world.control.modes(fs_duplicates=True, fs_list_shape=shape)
    world.populate(**PLAIN)

    carry(world)

    check_nothing_is_lost(world)
    assert world.control.summary()["dispatched"] == OTHERS


def test_a_change_that_fs_dates_in_the_future_hides_no_later_one(world: World) -> None:
    """FS may have a wrong clock or a wrong date. The watermark never goes beyond the present."""
    world.control.modes(fs_list_shape="requests")
    org_id = first_org(world.populate(**PLAIN))
    tomorrow_in_ten_years = (datetime.now(UTC) + timedelta(days=3650)).isoformat()
    world.control.add_request(org_id, raw={"sistEndret": tomorrow_in_ten_years})
    process = carry(world)
    assert world.control.summary()["registered"] == OTHERS + 1

    world.control.add_request(org_id)
    carry(world, process)

    assert world.control.summary()["registered"] == OTHERS + 2
