"""The jobs that operators start: what they do, and what they say when something is wrong."""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import dagster as dg
import pytest

from assets.explanations.dispatched_requests import WAIT_SECONDS
from casebridge.exams.explanations import request_reader
from orchestration.build import build_defs
from resources.wiring.explanations import Explanations
from tests.integration.conftest import Operator, checks_of, failures_of, metadata_of
from tests.support.explanation_rounds import read_requests
from tests.support.world import World

Operators = Callable[..., Operator]


def test_sync_now_handles_every_request_and_reports_the_result(world: World, operator: Operators) -> None:
    result = operator(institutions=3, courses=6, requests=24).run("sync_now")

    assert result.success
    assert world.control.summary()["registered"] == 24
    assert metadata_of(result, "explanation_requests")["accepted"] == 24
    dispatched = metadata_of(result, "dispatched_requests")
    assert (dispatched["handled"], dispatched["processed"], dispatched["pending_before_dispatched"]) == (24, 24, 24)
    assert metadata_of(result, "explanation_answers")["accepted"] == 24
    assert metadata_of(result, "registered_explanations")["processed"] == 24
    audited = metadata_of(result, "audit_log")
    assert audited["entries"] == len(world.audit())
    assert audited["failures"] == 0
    for asset in ("explanation_requests", "dispatched_requests", "explanation_answers", "registered_explanations"):
        assert "casebridge dead replay" in metadata_of(result, asset)["how_to_recover"]


def test_a_second_sync_finds_nothing_new_and_does_nothing_twice(world: World, operator: Operators) -> None:
    ui = operator(requests=10)
    ui.run("sync_now")
    again = ui.run("sync_now", {"reach_back_hours": 48, "also_answered": True})

    assert again.success
    assert metadata_of(again, "explanation_requests")["accepted"] == 0
    assert metadata_of(again, "registered_explanations")["handled"] == 0
    assert world.control.summary()["registered_twice"] == 0


def test_sync_now_may_be_limited_to_one_institution(world: World, operator: Operators) -> None:
    ui = operator(institutions=3, courses=6, requests=24)
    chosen = world.process().stores.institutions.active()[0]
    result = ui.run("sync_now", {"institutions": [chosen.key]})

    assert metadata_of(result, "explanation_requests")["institutions"] == 1
    assert {case["orgId"] for case in world.control.cases() if case["registrations"]} == {chosen.org_id}


def test_an_unknown_institution_is_named_with_the_known_ones(world: World, operator: Operators) -> None:
    result = operator().run("sync_now", {"institutions": ["nowhere.no/prod"]})

    message = failures_of(result)["explanation_requests"]
    assert "nowhere.no/prod" in message
    assert world.process().stores.institutions.active()[0].key in message


def test_one_institution_that_fails_is_named_and_stops_no_other(world: World, operator: Operators) -> None:
    ui = operator(institutions=3, courses=6, requests=24)
    broken = world.process().stores.institutions.active()[0]
    world.control.credentials(broken.org_id, "fs", valid=False)

    result = ui.run("sync_now")

    assert result.success
    read = metadata_of(result, "explanation_requests")
    assert read["institutions_failed"] == 1
    assert broken.key in read["failures"]
    assert "Next:" in read["failures"]
    cases = world.control.cases()
    assert all(case["registrations"] == 1 for case in cases if case["orgId"] != broken.org_id)
    assert not any(case["registrations"] for case in cases if case["orgId"] == broken.org_id)


def test_if_no_institution_can_be_read_the_run_fails_with_cause_and_next_action(
    world: World, operator: Operators
) -> None:
    ui = operator(institutions=2)
    world.control.faults({"kind": "status", "system": "fs", "status": 503})

    result = ui.run("sync_now")

    assert not result.success
    message = failures_of(result)["explanation_requests"]
    assert "FS could not be read for any institution" in message
    assert "2 institutions" in message
    assert "Next:" in message


def test_sync_now_does_not_wait_for_a_paused_institution(world: World, operator: Operators) -> None:
    """Its credentials are refused in the middle of the run. Waiting two minutes for it would not help."""
    ui = operator(institutions=2, courses=4, requests=12)
    broken, _ = world.process().stores.institutions.active()
    world.control.credentials(broken.org_id, "wiseflow", valid=False)
    waiting = sum(case["orgId"] == broken.org_id for case in world.control.cases())

    began = time.monotonic()
    dispatched = metadata_of(ui.run("sync_now"), "dispatched_requests")

    assert dispatched["pending_before_waiting"] == waiting
    assert dispatched["pending_before_dispatched"] == 12 - waiting
    assert time.monotonic() - began < WAIT_SECONDS / 2


def test_messages_that_are_set_aside_are_reported_by_code_with_their_next_action(
    world: World, operator: Operators
) -> None:
    ui = operator(requests=4)
    (institution, *_) = world.process().stores.institutions.active()
    world.control.add_request(institution.org_id, oddity="no_candidate")

    dispatched = metadata_of(ui.run("sync_now"), "dispatched_requests")

    (row,) = dispatched["set_aside_by_code"].records
    assert row.data["code"] == "wiseflow.participant_missing"
    assert row.data["next_action"]
    assert dispatched["set_aside"] == dispatched["pending_before_set_aside"] == 1


def test_the_reconciliation_finds_what_every_poll_missed(world: World, operator: Operators) -> None:
    """The watermark is far in the future, so polls find nothing. The reconciliation reads further back."""
    ui = operator(institutions=2, requests=10)
    world.configure(fs={"overlap_seconds": 0})
    process = world.process()
    for institution in process.stores.institutions.active():
        process.capability(Explanations).watermarks.read_well(
            institution, process.stores.clock.now() + timedelta(days=1)
        )
    assert metadata_of(ui.run("sync_now"), "explanation_requests")["accepted"] == 0

    result = ui.run("reconcile")

    assert result.success
    assert metadata_of(result, "explanation_requests")["accepted"] == 10
    assert world.control.summary()["registered"] == 10


def test_process_queue_handles_a_batch_and_reports_to_the_assets(world: World, operator: Operators) -> None:
    ui = operator(requests=9)
    process = world.process()
    read_requests(process, process.stores.institutions.active())

    result = ui.run("process_queue", {"ops": {"handle_batch": {"config": {"limit": 4}}}})

    assert result.success
    (reported,) = result.asset_materializations_for_node("handle_batch")
    assert reported.asset_key == dg.AssetKey("dispatched_requests")
    assert reported.metadata["handled"].value == 4
    assert world.database.messages.count_documents({"queue": request_reader.QUEUE, "status": "enqueued"}) == 5


def op(name: str, **config: object) -> dict[str, object]:
    return {"ops": {name: {"config": config}}}


def metadata_in_outputs(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = [event for event in result.all_events if event.is_successful_output]
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


def rows(table: Any) -> list[dict[str, Any]]:
    return [dict(record.data) for record in table.records]


@pytest.fixture
def set_aside(world: World, operator: Operators) -> Operator:
    """One message is dead because its candidate was not on the flow."""
    ui = operator(requests=3)
    process = world.process()
    (institution, *_) = process.stores.institutions.active()
    world.control.add_request(institution.org_id, oddity="no_candidate")
    world.carry(process)
    assert world.database.messages.count_documents({"status": "dead"}) == 1
    return ui


def correlation_id(world: World) -> str:
    (message,) = world.database.messages.find()
    return str(message["correlationId"])


def test_dead_letters_are_listed_by_code_with_what_to_do(world: World, set_aside: Operator) -> None:
    listed = metadata_in_outputs(set_aside.run("list_dead_letters", op("list_letters", since="1h")))

    assert (listed["found"], listed["shown"]) == (1, 1)
    assert rows(listed["by_code"]) == [{"code": "wiseflow.participant_missing", "messages": 1}]
    (row,) = rows(listed["letters"])
    assert (row["case"], row["step"], row["attempts"]) == (correlation_id(world), "find_candidate", 1)
    assert "then replay the message" in row["next_action"]
    nothing = metadata_in_outputs(set_aside.run("list_dead_letters", op("list_letters", before="1h")))
    assert (nothing["found"], "letters" in nothing) == (0, False)
    misread = set_aside.run("list_dead_letters", op("list_letters", since="yesterday"))
    assert "'yesterday' is no moment" in failures_of(misread)["list_letters"]


def test_a_dead_letter_is_shown_with_its_errors_and_steps(world: World, set_aside: Operator) -> None:
    case = correlation_id(world)
    shown = metadata_in_outputs(set_aside.run("show_dead_letter", op("show_letter", correlation_id=case)))

    assert [row["step"] for row in rows(shown["steps_done"])] == ["find_exam"]
    assert [row["code"] for row in rows(shown["errors"])] == ["wiseflow.participant_missing"]
    assert (shown["came_by"], shown["attempts"], shown["replays"]) == ("poll", 1, 0)
    unknown = set_aside.run("show_dead_letter", op("show_letter", correlation_id="nobody"))
    assert "no dead, failed or discarded message" in failures_of(unknown)["show_letter"]


@pytest.mark.parametrize(
    ("job", "name", "done"),
    [("replay_dead_letters", "replay", "replayed"), ("discard_dead_letters", "discard", "discarded")],
)
def test_an_action_is_a_dry_run_unless_said_otherwise(
    job: str, name: str, done: str, world: World, set_aside: Operator
) -> None:
    shown = metadata_in_outputs(set_aside.run(job))

    assert (shown["found"], shown[done], shown["dry_run"]) == (1, 0, True)
    assert rows(shown["by_code"]) == [{"code": "wiseflow.participant_missing", "messages": 1}]
    unsigned = set_aside.run(job, op(name, dry_run=False, reason="added the candidate"))
    assert "asked_by" in failures_of(unsigned)[name]
    assert world.database.messages.count_documents({"status": "dead"}) == 1
    assert not world.audit(step=done)


def test_replay_restarts_the_chosen_messages_and_the_audit_has_who_asked(world: World, set_aside: Operator) -> None:
    config = {"dry_run": False, "reason": "added the candidate", "asked_by": "kari"}
    replay = partial(op, "replay", **config)
    passed_over = metadata_in_outputs(set_aside.run("replay_dead_letters", replay(code="wiseflow.flow_missing")))
    replayed = metadata_in_outputs(set_aside.run("replay_dead_letters", replay(code="wiseflow.participant_missing")))

    assert passed_over["replayed"] == 0
    assert replayed["replayed"] == 1
    assert world.database.messages.count_documents({"status": "enqueued"}) == 1
    (entry,) = world.audit(step="replayed")
    assert entry["detail"] == {"reason": "added the candidate", "askedBy": "kari"}


def test_a_discarded_message_fails_no_check_and_can_be_replayed(world: World, set_aside: Operator) -> None:
    """The candidate was withdrawn from the exam, so nobody must be asked."""
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    world.database.cases.update_many({}, {"$set": {"deadline": long_ago, "openedAt": long_ago}})
    config = {"dry_run": False, "reason": "withdrew from the exam", "asked_by": "kari"}
    discarded = metadata_in_outputs(set_aside.run("discard_dead_letters", op("discard", **config)))

    assert discarded["discarded"] == 1
    assert {name: check.passed for name, check in checks_of(set_aside.run("reconcile")).items()} == {
        "nothing_lost": True,
        "oldest_pending": True,
        "dead_letters": True,
        "deadline_overdue": True,
        "kafka_lag": True,
    }
    listed = metadata_in_outputs(set_aside.run("list_dead_letters", op("list_letters", status="DISCARDED")))
    assert [row["case"] for row in rows(listed["letters"])] == [correlation_id(world)]
    shown = metadata_in_outputs(
        set_aside.run("show_dead_letter", op("show_letter", correlation_id=correlation_id(world)))
    )
    assert [(row["what"], row["by"]) for row in rows(shown["instructions"])] == [("discarded", "kari")]
    back = metadata_in_outputs(set_aside.run("replay_dead_letters", op("replay", status="DISCARDED", **config)))
    assert back["replayed"] == 1


def test_nothing_personal_reaches_dagsters_event_log(world: World, set_aside: Operator) -> None:
    """After a success, a case that is set aside and a failed run, Dagster's database and UI have only ids, codes and counts."""
    text = "Svaret som bare studenten skal se"
    (institution, *_) = world.process().stores.institutions.active()
    world.control.add_request(institution.org_id, answer_text=text)
    set_aside.run("reconcile")
    world.control.faults({"kind": "html", "system": "fs"})
    set_aside.run("sync_now")

    logged = json.dumps(
        [entry.to_json() for run in set_aside.instance.get_runs() for entry in set_aside.instance.all_logs(run.run_id)]
    )
    people = {str(case["personlopenr"]) for case in world.control.cases()}
    assert len(people) >= 5, "there must be something to look for"
    assert "explanation_requests" in logged, "there must be something to look in"
    assert world.control.summary()["registered"] == 4
    # whole numbers only: a part of a timestamp is no number of a person
    assert [person for person in people if re.search(rf"(?<![\d.]){person}(?![\d.])", logged)] == []
    assert text not in logged


@pytest.mark.parametrize(
    ("job", "name"),
    [("list_dead_letters", "list_letters"), ("replay_dead_letters", "replay"), ("discard_dead_letters", "discard")],
)
@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"institution": "mistyped.no/test"}, "'mistyped.no/test' is unknown"),
        ({"queue": "wiseflow-begrunelse"}, "'wiseflow-begrunelse' is unknown"),
        ({"code": "no code"}, "'no code' is none"),
        ({"correlation_id": "019ac000-0000-7000-8000-00000000000f"}, "is unknown"),
        ({"since": "1h", "before": "2h"}, "is not before"),
    ],
)
def test_a_mistyped_filter_fails_and_is_named(
    job: str, name: str, choice: dict[str, Any], message: str, set_aside: Operator
) -> None:
    result = set_aside.run(job, op(name, **choice))

    assert not result.success
    assert message in failures_of(result)[name]


@pytest.mark.parametrize("limit", [0, -1])
@pytest.mark.parametrize(
    ("job", "name"),
    [
        ("list_dead_letters", "list_letters"),
        ("replay_dead_letters", "replay"),
        ("discard_dead_letters", "discard"),
        ("process_queue", "handle_batch"),
    ],
)
def test_a_limit_below_one_is_refused_before_there_is_a_run(job: str, name: str, limit: int) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="must be at least 1"):
        dg.validate_run_config(build_defs().resolve_job_def(job), op(name, limit=limit))


def test_a_removed_institution_is_known_as_long_as_it_has_messages(world: World, set_aside: Operator) -> None:
    institution = world.database.messages.find_one({"status": "dead"}, {"institution": 1})["institution"]
    world.database.orgs.delete_many({})
    world.database.environments.delete_many({})

    assert (
        metadata_in_outputs(set_aside.run("list_dead_letters", op("list_letters", institution=institution)))["found"]
        > 0
    )


def test_each_asset_has_the_state_and_not_only_its_last_batch(operator: Operators) -> None:
    ui = operator(institutions=1, courses=1, requests=3)
    assert ui.run("sync_now").success
    again = ui.run("sync_now")

    reports = {
        asset: metadata_of(again, asset)
        for asset in (
            "explanation_requests",
            "dispatched_requests",
            "explanation_answers",
            "registered_explanations",
            "audit_log",
        )
    }
    for asset, report in reports.items():
        done = report["total_dispatched"] + report["total_registered"]
        assert (done, report["pending"], report["dead"]) == (3, 0, 0), asset
        assert report["today_dispatched"] == 3, asset
        for name, value in report.items():
            if name.startswith(("total_", "today_", "pending", "dead", "oldest_", "paused_")):
                assert isinstance(value, int | float), (asset, name)
