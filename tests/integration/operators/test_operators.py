"""Questions of operators, answered by the classes and by the real command: the status, where a case is, synchronise now."""

import json
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from command_line.main import application
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.support.explanation_rounds import read_requests, wait_for_dispatch
from tests.support.processes import Processes
from tests.support.world import World

DONE, FAILED, MISUSED, NOT_FOUND, ATTENTION, UNREACHABLE = 0, 1, 2, 3, 4, 5


def troubled(world: World) -> str:
    """The institution whose cases are set aside."""
    return f"{world.control.cases()[-1]['orgId']}/test"


def case_set_aside(world: World, code: str) -> dict[str, Any]:
    case = world.database.cases.find_one({"setAside": code})
    assert case is not None
    return case


# Status


def test_status_counts_cases_and_groups_failures_by_what_to_do(world: World, mixed: Process) -> None:
    status = mixed.operators.status.read()

    assert (status.pending, status.dead, status.alerts_owed, status.listeners) == (0, 2, 0, 0)
    assert status.oldest_pending_seconds is None
    rows = {row.institution: row for row in status.institutions}
    assert sum(row.cases["registered"] for row in rows.values()) == 3
    assert (rows[troubled(world)].set_aside, rows[troubled(world)].dead) == (2, 2)
    assert sum(row.set_aside for row in rows.values()) == 2
    assert {group.code: (group.status, group.messages) for group in status.failures} == {
        "wiseflow.participant_missing": ("dead", 1),
        "wiseflow.flow_ambiguous": ("dead", 1),
    }
    assert all(group.next_action for group in status.failures)
    assert status.set_aside == {"wiseflow.participant_missing": 1, "wiseflow.flow_ambiguous": 1}


def test_status_counts_effects_that_can_never_be_delivered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    process = world.process()
    world.carry(process)
    assert process.operators.status.read().undelivered == 0
    due = {"effects": ["no effect"], "effectsDueAt": process.stores.clock.now()}
    finished = world.database.processed_messages.find_one() or {}
    world.database.processed_messages.update_one({"_id": finished["_id"]}, {"$set": due})
    world.database.messages.insert_one({**finished, "_id": "dead", "status": "dead", **due})

    process.relay.deliver_left_behind()

    assert process.operators.status.read().plain()["undelivered"] == 2
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    assert "2 messages have effects that cannot be delivered" in CliRunner().invoke(application, ["status"]).output
    assert json.loads(CliRunner().invoke(application, ["status", "--json"]).output)["undelivered"] == 2


def test_status_shows_waiting_messages_and_pauses(world: World) -> None:
    population = world.populate(institutions=2, courses=2, requests=4, variety=False)
    org_id = population["institutions"][0]["orgId"]
    process = world.process()
    read_requests(process, process.stores.institutions.active())
    waiting = process.operators.status.read()
    assert (waiting.pending, waiting.dead) == (4, 0)
    assert waiting.oldest_pending_seconds is not None
    assert 0 <= waiting.oldest_pending_seconds < 60

    world.control.credentials(org_id, "wiseflow", valid=False)
    process.synchronisation.run_batch()

    row = next(row for row in process.operators.status.read().institutions if row.institution == f"{org_id}/test")
    assert row.paused is not None
    assert "WISEflow" in row.paused


def test_the_status_command_says_by_its_exit_code_whether_a_person_is_needed(
    world: World, processes: Processes
) -> None:
    population = world.populate(institutions=1, courses=1, requests=1, variety=False)
    process = world.process()
    world.carry(process)
    well = processes.run("status")
    assert (well.exit_code, well.notes) == (DONE, "")
    assert "0 pending (nothing waits), 0 dead" in well.output

    world.control.add_request(population["institutions"][0]["orgId"], oddity="no_flow")
    world.carry(process)
    troubled = processes.run("status", "--json")

    assert troubled.exit_code == ATTENTION
    answer = troubled.json()
    assert (answer["pending"], answer["dead"]) == (0, 1)
    (failure,) = answer["failures"]
    assert failure["code"] == "wiseflow.flow_missing"
    assert "then replay the message" in failure["next_action"]
    assert processes.run("status", CASEBRIDGE_MONGODB__URI="mongodb://127.0.0.1:9").exit_code == UNREACHABLE


# Where


def test_a_case_history_has_every_step_in_order(world: World, mixed: Process) -> None:
    (case, *_) = world.database.cases.find({"state": "registered"})

    history = mixed.operators.histories.by_correlation_id(case["correlationId"])

    assert history is not None
    assert (history.state, history.set_aside, history.waiting, history.next_action) == ("registered", None, [], None)
    assert history.deadline == case["deadline"]
    steps = [(milestone.submodule, milestone.step) for milestone in history.milestones]
    assert steps == [
        ("wiseflow-begrunnelse", "received"),
        ("wiseflow-begrunnelse", "find_exam"),
        ("wiseflow-begrunnelse", "find_candidate"),
        ("wiseflow-begrunnelse", "request_explanation"),
        ("wiseflow-begrunnelse-svar", "received"),
        ("wiseflow-begrunnelse-svar", "fetch_answer"),
        ("wiseflow-begrunnelse-svar", "register_explanation"),
    ]
    times = [milestone.time for milestone in history.milestones]
    assert times == sorted(times)


def test_a_case_history_that_ends_early_says_why_and_what_to_do(world: World, mixed: Process) -> None:
    case = case_set_aside(world, "wiseflow.participant_missing")

    (history,) = mixed.operators.histories.of(
        mixed.capability(Explanations).cases.by_exam_and_candidate(case["vurdId"], case["kandidatnr"])
    )

    assert history.correlation_id == case["correlationId"]
    assert (history.state, history.set_aside) == ("requested", "wiseflow.participant_missing")
    assert [milestone.success for milestone in history.milestones] == [True, True, False]
    (waiting,) = history.waiting
    assert waiting.startswith("wiseflow-begrunnelse: dead after 1 attempt")
    assert history.next_action is not None
    assert "then replay the message" in history.next_action


def test_the_where_command_finds_a_case_by_any_of_its_names(world: World, mixed: Process, processes: Processes) -> None:
    case = case_set_aside(world, "wiseflow.participant_missing")
    source_code = next(row["sourceCode"] for row in world.control.cases() if row["examId"] == case["vurdId"])

    by_id = processes.run("where", case["correlationId"], "--json")
    by_exam = processes.run("where", f"{case['vurdId']}+{case['kandidatnr']}")
    by_columns = processes.run("where", f"{source_code}+{case['kandidatnr']}", "--json")

    assert by_id.exit_code == by_exam.exit_code == by_columns.exit_code == DONE
    assert by_id.json() == by_columns.json()
    assert case["correlationId"] in by_exam.output
    assert "wiseflow.participant_missing" in by_exam.output
    assert processes.run("where", "nobody").exit_code == NOT_FOUND
    assert processes.run("where", "1||2+3").exit_code == MISUSED


# Synchronise


def test_the_sync_command_reports_the_result(world: World, processes: Processes) -> None:
    population = world.populate(institutions=2, courses=2, requests=4, variety=False)
    first, second = (institution["orgId"] for institution in population["institutions"])
    own = sum(case["orgId"] == second for case in world.control.cases())

    one = processes.run("sync", "--json", "--institution", f"{second}/test", "--wait", "5")
    assert one.exit_code == DONE
    assert (one.json()["requests"]["accepted"], one.json()["outcome"]["dispatched"]) == (own, own)

    world.control.faults({"system": "fs", "kind": "status", "status": 503, "orgId": second})
    some = processes.run("sync", "--json", "--wait", "5")
    assert some.exit_code == ATTENTION
    assert some.json()["requests"]["failed"] == {f"{second}/test": "fs.http_503"}
    world.control.faults({"system": "fs", "kind": "status", "status": 503})
    assert processes.run("sync", "--wait", "5").exit_code == FAILED
    assert {row["orgId"] for row in world.control.cases() if row["state"] != "visible"} == {first, second}


def test_the_sync_command_says_that_a_row_waits_for_a_person(world: World, processes: Processes) -> None:
    """An unreadable row has no case. Only its message shows it."""
    population = world.populate(institutions=1, courses=1, requests=1, variety=False)
    org_id = population["institutions"][0]["orgId"]
    world.control.add_request(org_id, expected="invalid_row", raw={"kandidatnr": None})

    ended = processes.run("sync", "--json", "--wait", "5")

    assert ended.json()["outcome"]["set_aside"] == 0
    assert ended.json()["sent"]["by_status"] == {"processed": 1, "dead": 1}
    assert ended.exit_code == ATTENTION


def test_a_row_that_is_removed_before_it_was_sent_counts_as_withdrawn(world: World) -> None:
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    process = world.process()
    institutions = process.stores.institutions.active()
    found = read_requests(process, institutions)
    world.control.withdraw(world.control.cases()[0]["caseId"], how="removed")
    process.synchronisation.run_batch()
    read_requests(process, institutions, reach_back=timedelta(days=3650))

    awaited = wait_for_dispatch(process, found.correlation_ids, 0.0)

    assert (awaited.dispatched, awaited.withdrawn, awaited.waiting) == (1, 1, 0)
    numbers = process.operators.totals.of(process.operators.status.read())
    assert (numbers["today_dispatched"], numbers["total_dispatched"]) == (1, 1)


def test_a_synchronisation_handles_retries_while_it_waits(world: World) -> None:
    """There may be no listener that handles it."""
    world.configure(queue={"retry_base_seconds": 1.0, "retry_cap_seconds": 1.0})
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    world.control.faults({"system": "wiseflow", "kind": "status", "status": 503, "path": "/search$", "times": 1})
    process = world.process()
    run, institutions = process.synchronisation, process.stores.institutions.active()
    read = read_requests(process, institutions)
    assert run.run_batch().by_status["failed"] >= 1, "those that looked together fail together"

    awaited = wait_for_dispatch(process, read.correlation_ids, 5.0)

    assert (awaited.dispatched, awaited.waiting) == (2, 0)


def test_json_stands_alone_on_standard_output(world: World, mixed: Process, processes: Processes) -> None:
    """Whatever is written on standard error, a script reads one JSON value."""
    ended = processes.run("sync", "--wait", "1", "--json", CASEBRIDGE_LOG_LEVEL="DEBUG")

    assert "DEBUG" in ended.notes
    assert isinstance(json.loads(ended.output), dict)
