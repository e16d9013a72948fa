"""A replay continues where a message failed, is audited, and survives crashes."""

from datetime import timedelta

import pytest

from casebridge.messaging.queue.interventions import KEPT_REPLAYS, Chosen
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import DeadLetters, Order
from resources.wiring.process import Process
from tests.support.dead_letters import AMBIGUOUS, FOR_REAL, MISSING, REASON, case_of, dead, letter_of
from tests.support.manual_clock import ManualClock
from tests.support.processes import Crash, Processes
from tests.support.world import World

DONE = 0


@pytest.mark.parametrize("action", ["replay", "discard"])
def test_a_dry_run_shows_and_changes_nothing(action: str, world: World, mixed: Process) -> None:
    before = [list(collection.find()) for collection in (world.database.messages, world.database.cases)]

    report = getattr(mixed.operators.dead_letters, action)(DeadLetterFilter(), Order(limit=1))

    assert (report.found, report.chosen, report.changed, report.dry_run) == (2, 1, 0, True)
    assert report.by_code == {MISSING: 1, AMBIGUOUS: 1}
    assert len(report.correlation_ids) == 1
    assert [list(collection.find()) for collection in (world.database.messages, world.database.cases)] == before
    assert not world.audit(step={"$in": ["replayed", "discarded"]})


@pytest.mark.parametrize("said", [{}, {"reason": REASON}, {"asked_by": "kari"}, {"reason": " ", "asked_by": "kari"}])
def test_a_real_replay_needs_a_reason_and_a_name(said: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"say (why|who asks)"):
        Order(dry_run=False, **said)


def test_a_replay_continues_at_the_step_that_failed_and_is_audited(world: World, mixed: Process) -> None:
    case = case_of(mixed, letter_of(mixed, MISSING))
    searches = world.control.summary()["calls_by_route"]["wiseflow POST /sources/search"]
    wanted = DeadLetterFilter(correlation_id=case["correlationId"])

    report = mixed.operators.dead_letters.replay(wanted, FOR_REAL)
    again = mixed.operators.dead_letters.replay(wanted, FOR_REAL)
    assert (report.changed, again.found) == (1, 0)
    mixed.synchronisation.run_batch()

    (entry,) = world.audit(step="replayed")
    assert entry["correlationId"] == case["correlationId"]
    assert entry["detail"] == {"reason": REASON, "askedBy": "kari"}
    message = letter_of(mixed, MISSING)
    assert (message["status"], message["generation"], message["attempts"]) == ("dead", 2, 1)
    assert world.control.summary()["calls_by_route"]["wiseflow POST /sources/search"] == searches, "found before"
    assert len(world.audit(correlationId=case["correlationId"], step="find_exam", success=True)) == 2, (
        "each attempt looks"
    )
    assert len(world.audit(correlationId=case["correlationId"], success=False)) == 2
    (story,) = mixed.operators.dead_letters.show(case["correlationId"]).stories
    assert [(instruction.by, instruction.reason) for instruction in story.replayed] == [("kari", REASON)]
    assert (story.letter.replays, len(story.errors)) == (1, 2)


def test_a_message_that_is_dead_again_meanwhile_is_not_replayed(world: World, letters: DeadLetters) -> None:
    """Two operators chose the same message. When the slower one's order arrives, it was replayed and is dead again."""
    world.database.messages.insert_one(dead(1, MISSING))
    queue = MeldingQ(world.database, ManualClock(), timedelta(seconds=60))
    words = {"reason": REASON, "asked_by": "kari"}
    assert queue.replay([Chosen("key-00001", 1)], from_status=MessageStatus.DEAD, **words) == 1
    world.database.messages.update_one({}, {"$set": {"status": "dead"}})

    assert queue.replay([Chosen("key-00001", 1)], from_status=MessageStatus.DEAD, **words) == 0
    assert queue.discard([Chosen("key-00001", 1)], **words) == 0
    assert queue.discard([Chosen("key-00001", 2)], **words) == 1
    assert queue.discard([Chosen("key-00001", 2)], **words) == 0


def test_the_history_of_replays_is_bounded_and_their_number_is_not(world: World, letters: DeadLetters) -> None:
    world.database.messages.insert_one(dead(1, MISSING))
    times = KEPT_REPLAYS + 2
    for number in range(times):
        order = Order(dry_run=False, reason=f"the {number}th time", asked_by="kari")
        assert letters.replay(DeadLetterFilter(), order).changed == 1
        world.database.messages.update_one({}, {"$set": {"status": "dead"}})

    (story,) = letters.show("correlation-1").stories

    assert story.letter.replays == times
    assert [instruction.reason for instruction in story.replayed] == [
        f"the {number}th time" for number in range(2, times)
    ]
    assert len(world.audit(step="replayed")) == times


def test_a_case_s_messages_keep_their_order(world: World, letters: DeadLetters) -> None:
    """Two versions of one request are dead. Replayed together, the older one goes first."""
    world.database.messages.insert_many([dead(2, MISSING, orderingKey="one"), dead(1, MISSING, orderingKey="one")])
    assert letters.replay(DeadLetterFilter(), FOR_REAL).changed == 2

    queue = MeldingQ(world.database, ManualClock(), timedelta(seconds=60))

    assert [message.key for message in queue.claim("a worker", 10)] == ["key-00001"]


def test_another_operators_replay_after_a_crash_is_audited_too(
    mixed: Process, world: World, processes: Processes
) -> None:
    asked = ("dead", "replay", "--code", MISSING, "--for-real", "--reason", REASON, "--asked-by")
    processes.run(*asked, "kari", crash=Crash("audit_written"))

    assert processes.run(*asked, "ola").exit_code == DONE

    assert {entry["detail"]["askedBy"] for entry in world.audit(step="replayed")} == {"kari", "ola"}
