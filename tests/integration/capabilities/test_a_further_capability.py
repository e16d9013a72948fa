"""A capability in a folder of its own (`tests.loans`) works in every part of the platform.

Nothing outside that folder names it. Only the setting `CASEBRIDGE_CAPABILITIES` does.
"""

import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.wiring.process import Process
from tests.integration.conftest import Operator, metadata_of
from tests.loans.loan_flow import QUEUE
from tests.support.processes import Processes
from tests.support.waiting import wait_until
from tests.support.world import World

ROOT = Path(__file__).parents[3]
CAPABILITIES = ("explanations", "tests.loans")
CODE = "library.shelf_missing"


@pytest.fixture
def library(world: World) -> str:
    """One institution with two overdue loans. The library does not know the shelf of the second one."""
    world.configure(capabilities=CAPABILITIES)  # type: ignore[arg-type]  # a setting that is no section
    population = world.populate(institutions=1, courses=1, requests=0)
    institution = f"{population['institutions'][0]['orgId']}/test"
    loans = world.database.collection("libraryLoans")
    loans.insert_many(
        [
            {"_id": "a loan", "institution": institution, "shelf": "A 1"},
            {"_id": "another loan", "institution": institution, "shelf": None},
        ]
    )
    return institution


def poll(process: Process) -> int:
    (source,) = next(one for one in process.capabilities if one.name == "loans").sources
    return process.synchronisation.poll(source, process.stores.institutions.active()).accepted


def correlation_id(world: World, loan: str) -> str:
    found = world.database.collection("libraryCases").find_one({"_id": loan})
    assert found is not None
    return str(found["correlationId"])


def run_listener(world: World) -> Process:
    process = world.process()
    process.ensure_indexes()
    assert poll(process) == 2
    process.listener().run(threading.Event(), until_idle=True)
    return process


def test_a_listener_handles_its_messages_and_delivers_its_effects(world: World, library: str) -> None:
    process = run_listener(world)

    assert poll(process) == 0, "each loan is taken once"
    (reminder,) = world.database.collection("libraryReminders").find()
    assert (reminder["_id"], reminder["asked"]) == ("a loan", 1)
    (receipt,) = world.database.collection("libraryReceipts").find()
    assert receipt["reminder"] == "a loan"
    states = {one["_id"]: one["state"] for one in world.database.collection("libraryCases").find()}
    assert states == {"a loan": "reminded", "another loan": "overdue"}


def test_its_steps_are_audited_and_its_failures_are_alerted(world: World, library: str) -> None:
    run_listener(world)

    steps = [(one["step"], one["success"]) for one in world.audit(correlationId=correlation_id(world, "a loan"))]
    assert sorted(steps) == [("find_loan", True), ("received", True), ("remind", True)]
    assert {one["shelf"] for one in world.audit(step="remind")} == {"A 1"}
    (failed,) = world.audit(success=False)
    assert (failed["submodule"], failed["code"]) == (QUEUE, CODE)
    (alert,) = [one["message"]["text"] for one in world.control.slack_messages()]
    assert CODE in alert
    assert QUEUE in alert, "its queue is a name of ours"


def test_status_counts_its_cases_and_shows_its_table(world: World, library: str, processes: Processes) -> None:
    process = run_listener(world)

    found = processes.run("status", "--json").json()
    (row,) = found["institutions"]
    assert (row["overdue"], row["reminded"], row["set_aside"], row["dead"]) == (0, 1, 1, 1)
    assert found["set_aside"] == {CODE: 1}
    (table,) = found["tables"]
    assert (table["name"], table["rows"]) == ("shelves", [["A 1", 1], ["None", 1]])
    numbers = process.operators.totals.of(process.operators.status.read())
    assert (numbers["total_reminded"], numbers["today_reminded"]) == (1, 1)
    shown = processes.run("status").output
    assert re.search(r"A 1\D+1", shown)


def test_its_dead_message_is_listed_shown_and_replayed(world: World, library: str, processes: Processes) -> None:
    process = run_listener(world)
    whose = correlation_id(world, "another loan")

    (history,) = processes.run("where", whose, "--json").json()
    assert (history["set_aside"], history["institution"]) == (CODE, library)
    assert CODE in processes.run("dead", "list", "--queue", QUEUE).output
    world.database.collection("libraryLoans").update_one({"_id": "another loan"}, {"$set": {"shelf": "B 2"}})
    order = Order(dry_run=False, reason="the shelf is known", asked_by="kari")
    assert process.operators.dead_letters.replay(DeadLetterFilter(code=CODE), order).changed == 1
    process.listener().run(threading.Event(), until_idle=True)

    states = {one["state"] for one in world.database.collection("libraryCases").find()}
    assert states == {"reminded"}
    assert process.operators.completeness.account().lost == 0


def test_a_discarded_message_discards_its_case(world: World, library: str) -> None:
    process = run_listener(world)
    order = Order(dry_run=False, reason="the book is back", asked_by="kari")

    assert process.operators.dead_letters.discard(DeadLetterFilter(code=CODE), order).changed == 1

    (row,) = process.operators.status.read().institutions
    assert (row.discarded, row.set_aside, row.dead) == (1, 0, 0)


def test_dagster_runs_its_batches_and_its_asset(world: World, library: str, operator: Callable[..., Operator]) -> None:
    ui = operator(institutions=1, courses=1, requests=0)
    wanted = f"{world.database.environments.find_one({})['orgId']}/test"  # type: ignore[index]  # populated anew
    world.database.collection("libraryLoans").update_many({}, {"$set": {"institution": wanted}})
    poll(world.process())

    assert ui.tick("backlog_sensor").run_requests, "its messages are due and no listener is alive"
    batch = ui.run("process_queue")
    reported = [event.asset_key for event in batch.all_events if event.is_step_materialization]
    assert [key.to_user_string() for key in reported if key] == ["book_loans"]
    synchronised = ui.run("sync_now", {"wait_seconds": 0.0})
    metadata: dict[str, Any] = metadata_of(synchronised, "book_loans")
    assert (metadata["total_reminded"], metadata["handled"]) == (1, 0)
    assert "shelves" in metadata


def test_a_listener_process_handles_its_messages(world: World, library: str, processes: Processes) -> None:
    poll(world.process())
    processes.listener()

    wait_until(
        lambda: world.database.collection("libraryCases").count_documents({"state": "reminded"}) == 1, "it is reminded"
    )
    wait_until(
        lambda: world.database.messages.count_documents({"status": MessageStatus.DEAD.value}) == 1, "one is set aside"
    )


def test_a_process_without_the_capability_leaves_its_messages_alone(world: World, library: str) -> None:
    poll(world.process())
    world.configure(capabilities=("explanations",))  # type: ignore[arg-type]  # a setting that is no section

    world.process().listener().run(threading.Event(), until_idle=True)

    assert {one["status"] for one in world.database.messages.find()} == {"enqueued"}


def test_nothing_outside_its_folder_names_it() -> None:
    named = subprocess.run(
        ["git", "grep", "-lE", "tests[./]loans|library-(loans|receipt)|book_loans"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    own = ("tests/loans/", "tests/integration/capabilities/", "docs/")
    assert [path for path in named if not path.startswith(own)] == []
