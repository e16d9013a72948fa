"""`casebridge dead`: list, show, replay and discard, called like an operator does."""

import getpass

import pytest

from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from resources.wiring.process import Process
from tests.support.dead_letters import AMBIGUOUS, MISSING, REASON, letter_of
from tests.support.processes import Crash, Processes
from tests.support.world import World

DONE, MISUSED, NOT_FOUND = 0, 2, 3
KILLED = -9


def test_the_command_lists_and_shows_dead_messages(mixed: Process, processes: Processes) -> None:
    listed = processes.run("dead", "list", "--json", "--since", "1h", "--limit", "1")
    assert (listed.exit_code, listed.json()["found"], len(listed.json()["letters"])) == (DONE, 2, 1)
    case = listed.json()["letters"][0]["correlation_id"]
    assert case in processes.run("dead", "list").output
    assert processes.run("dead", "list", "--before", "1h").exit_code == NOT_FOUND
    for misused in (("--since", "yesterday"), ("--status", "processing"), ("--limit", "0")):
        assert processes.run("dead", "list", *misused).exit_code == MISUSED

    (story,) = processes.run("dead", "show", case, "--json").json()
    assert (story["letter"]["correlation_id"], len(story["errors"])) == (case, 1)
    shown = processes.run("dead", "show", case)
    assert (shown.exit_code, shown.notes) == (DONE, "")
    assert f"casebridge dead replay --case {case}" in shown.output
    assert processes.run("dead", "show", "nobody").exit_code == NOT_FOUND


def test_the_replay_command_shows_first_and_asks_for_a_reason(
    world: World, mixed: Process, processes: Processes
) -> None:
    dry = processes.run("dead", "replay", "--json")
    assert (dry.exit_code, dry.json()["found"], dry.json()["changed"]) == (DONE, 2, 0)
    assert processes.run("dead", "replay", "--for-real").exit_code == MISUSED
    assert processes.run("dead", "replay", "--for-real", "--reason", "x", "--asked-by", "").exit_code == MISUSED
    assert processes.run("dead", "replay", "--code", "fs.refused").exit_code == NOT_FOUND
    assert not world.audit(step="replayed")

    chosen = ("--code", AMBIGUOUS, "--institution", letter_of(mixed, AMBIGUOUS)["institution"])
    real = processes.run("dead", "replay", "--for-real", "--reason", REASON, *chosen, "--json")

    assert (real.exit_code, real.json()["changed"]) == (DONE, 1)
    (entry,) = world.audit(step="replayed")
    assert entry["detail"] == {"reason": REASON, "askedBy": getpass.getuser()}
    assert world.database.messages.count_documents({"status": MessageStatus.ENQUEUED.value}) == 1


def test_the_discard_command_can_be_taken_back(mixed: Process, processes: Processes) -> None:
    dry = processes.run("dead", "discard", "--code", MISSING)
    assert (dry.exit_code, "1 would be discarded" in dry.output) == (DONE, True)
    real = processes.run("dead", "discard", "--code", MISSING, "--for-real", "--reason", REASON, "--asked-by", "kari")
    assert (real.exit_code, "1 discarded" in real.output) == (DONE, True)
    case = letter_of(mixed, MISSING)["correlationId"]
    assert f": {REASON}" in processes.run("where", case).output
    assert "Discarded by kari" in processes.run("dead", "show", case).output

    back = processes.run("dead", "replay", "--status", "discarded", "--for-real", "--reason", "a mistake", "--json")

    assert (back.exit_code, back.json()["changed"]) == (DONE, 1)
    assert letter_of(mixed, MISSING)["status"] == MessageStatus.ENQUEUED


@pytest.mark.parametrize("action", ["replay", "discard"])
@pytest.mark.parametrize("kind", ["kill", "exception"])
def test_after_a_crash_between_audit_and_change_the_command_can_be_repeated(
    action: str, kind: str, mixed: Process, world: World, processes: Processes
) -> None:
    asked = ("dead", action, "--for-real", "--reason", REASON, "--asked-by", "kari")
    died = processes.run(*asked, crash=Crash("audit_written", kind=kind))
    assert died.exit_code == (KILLED if kind == "kill" else 1)
    assert mixed.operators.dead_letters.find(DeadLetterFilter(), 10).found == 2, "nothing has taken effect"

    done = {"replay": "replayed", "discard": "discarded"}[action]
    assert [entry["detail"]["askedBy"] for entry in world.audit(step=done)] == ["kari", "kari"]
    assert processes.run(*asked, "--json").json()["changed"] == 2
    assert len(world.audit(step=done)) == 2, "told once, however often it was tried on the same word"
    assert processes.run(*asked).exit_code == NOT_FOUND
