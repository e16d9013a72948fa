"""The counts of the soak are 0 after a run without faults. Each kind of fault is counted, named and kept."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from simulators.process import RunningSimulators
from tests.soak.checks import Checks, count_all
from tests.soak.data_faults import AT_FIRST, DataFault, DataFaults
from tests.soak.evidence import keep
from tests.soak.foreign_documents import insert_foreign_documents
from tests.soak.installation import Installation
from tests.soak.server import Server
from tests.soak.soak import FAILURES
from tests.support.simulator_callers import fs_of, registration
from tests.support.world import World


def wrong(checks: Checks) -> dict[str, int]:
    return {name: count for name in FAILURES if (count := getattr(checks, name))}


def finish(world: World, process: Process) -> None:
    """Handle the cases, write the index entries and send the alerts, like a listener."""
    world.carry(process)
    process.register_listener(process.listener())
    process.relay.send_alerts()


@pytest.fixture
def population(world: World) -> dict[str, Any]:
    return world.populate(institutions=1, courses=1, requests=3, variety=False)


@pytest.fixture
def process(world: World, population: dict[str, Any]) -> Process:
    process = world.process()
    finish(world, process)
    return process


def test_a_run_without_faults_has_no_counts(world: World, process: Process) -> None:
    assert wrong(count_all(world)) == {}


def test_a_text_of_another_student_is_counted_and_kept(
    world: World,
    process: Process,
    population: dict[str, Any],
    simulators: RunningSimulators,
    tmp_path: Path,
) -> None:
    case = world.control.cases()[0]
    fs = fs_of(simulators, population["institutions"][0])
    row = next(one for one in fs.rows(case["examId"]) if one["personlopenr"] == case["personlopenr"])
    assert fs.register(registration(case["examId"], row, "En annens.", "2026-02-01")).status_code == 200

    checks = count_all(world)
    assert checks.wrong_text == 1
    assert checks.why["wrong_text"]["registrations of a text that nobody wrote for the student"] == [
        f"case {case['caseId']}"
    ]
    (correlation_id,) = checks.why["audit_gaps"]["registrations in FS without entry"]

    server = Server(world.settings.mongodb, "127.0.0.1", 0, None)
    kept = keep(Installation(world, process, server, [], {}, frozenset()), checks, tmp_path, seed=7)
    counts = json.loads((kept / "counts.json").read_text())
    (about,) = counts["wrong_text"]["registrations of a text that nobody wrote for the student"]
    assert about["simulators"]["registeredVersions"][-1]["version"] is None
    assert about["case"]["correlationId"] == correlation_id
    assert {one["queue"] for one in about["messages"]} == {"wiseflow-begrunnelse", "wiseflow-begrunnelse-svar"}
    assert "register_explanation" in {one["step"] for one in about["audit"]}
    dumped = kept / "databases" / world.settings.mongodb.oai_database / "begrunnelser.json"
    assert len(dumped.read_text().splitlines()) == 3
    assert json.loads((kept / "simulators" / "calls.json").read_text())


def test_a_row_that_is_opened_again_and_not_read_counts_as_untold(world: World, process: Process) -> None:
    """No process of casebridge runs after the row was changed."""
    name = world.control.cases()[0]["caseId"]
    world.control.withdraw(name, how="reopened")
    checks = count_all(world)
    assert (wrong(checks), checks.why["untold"]["cases"]) == ({"untold": 1}, [f"case {name}"])


def test_a_removed_row_counts_as_untold_until_the_case_is_withdrawn(
    world: World, process: Process, population: dict[str, Any]
) -> None:
    world.control.assessors(paused=True)
    added = world.control.add_request(population["institutions"][0]["orgId"])
    world.send(process)
    world.control.withdraw(added["caseId"], how="removed")
    assert count_all(world).untold == 1
    ours = world.database.cases.find_one({"personlopenr": added["personlopenr"], "state": "dispatched"})
    assert ours is not None
    process.capability(Explanations).cases.withdraw([ours["_id"]])
    assert count_all(world).untold == 0


def test_a_row_that_is_set_aside_and_reported_is_no_difference(
    world: World, process: Process, population: dict[str, Any]
) -> None:
    org_id = population["institutions"][0]["orgId"]
    for order in ({"raw": {"kandidatnr": "A-17"}, "expected": "odd_row"}, {"oddity": "no_candidate"}):
        world.control.add_request(org_id, **order)
    assert wrong(count_all(world)) == {"untold": 2}
    finish(world, process)
    assert wrong(count_all(world)) == {}


def test_a_request_that_was_not_read_is_lost(world: World, process: Process, population: dict[str, Any]) -> None:
    world.control.add_request(population["institutions"][0]["orgId"])
    assert wrong(count_all(world)) == {"lost": 2}


@pytest.mark.parametrize(("taken_over", "gaps"), [(1, {}), (0, {"audit_gaps": 1})])
def test_a_step_of_a_lost_claim_needs_no_step_in_a_message_that_was_replaced(
    taken_over: int, gaps: dict[str, int], world: World, process: Process
) -> None:
    """The worker was lost after it had asked the assessor. The next worker found a newer message of the case."""
    processed, audit = world.database.processed_messages, world.database.audit_log
    message = processed.find_one({"queue": "wiseflow-begrunnelse"})
    assert message is not None
    entry = audit.find_one({"_id": f"{message['correlationId']}:{message['_id']}:find_exam"})
    assert entry is not None
    now = process.stores.clock.now()
    audit.insert_one({**entry, "_id": f"{entry['_id']}:2", "time": now})
    step = {**message["steps"]["find_exam"], "at": now, "fence": 2, "result": {"outcome": "superseded"}, "last": True}
    settled = {"steps": {"find_exam": step}, "settledFence": 2, "startedAt": now, "takenOver": taken_over}
    processed.update_one({"_id": message["_id"]}, {"$set": settled})

    assert wrong(count_all(world)) == gaps


def test_a_foreign_message_counts_as_untold_while_it_waits(world: World, process: Process) -> None:
    foreign = insert_foreign_documents(world.database, process.stores.institutions.active()[0].key)
    checks = count_all(world, foreign)
    assert wrong(checks) == {"untold": len(foreign) - 1}
    assert "few-fields-and-dead" not in checks.why["untold"]["messages of others"]


def test_every_data_fault_finds_a_case_and_is_corrected_if_planned(world: World) -> None:
    """No process of casebridge runs: only the simulators are checked."""
    world.populate(institutions=3, courses=3, requests=60, hold=True)
    faults = DataFaults(world.control, seed=7, requests=60, without_numbers=frozenset())
    faults.advance(0.0)
    assert set(faults.done) == AT_FIRST
    world.control.release()
    for _ in range(6):
        faults.advance(1.0)
    assert set(faults.done) == set(DataFault) - {
        DataFault.REOPENED, DataFault.THERE_AND_BACK,
    }, "those need somebody whose request was sent, or answered"  # fmt: skip
    assert faults.to_correct == 0
    expected = Counter(row["expected"] for row in world.control.cases() if row["dataFaults"])
    assert expected["identity"] == 2 * 2 + 2 + 2, "two swaps, two given twice, two with other names"
    assert expected["shared_submission"] == 4
    assert expected["withdrawn"] == 2 + 2, "two removed, two removed beside a malformed row"
    assert {row["caseId"] for row in world.control.cases() if row["expected"] == "registered"} >= faults.corrected
