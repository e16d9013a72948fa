"""A discard settles a message that nobody can correct. It is shown everywhere, loses nothing, and can be taken back later."""

from datetime import timedelta

import pytest

from casebridge.messaging.queue.interventions import BROUGHT_BACK_WITHIN
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import DeadLetters
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.support.dead_letters import AMBIGUOUS, DISCARDED, FOR_REAL, MISSING, REASON, T0, case_of, dead, letter_of
from tests.support.world import World


def test_a_discarded_message_leaves_the_queue_and_is_shown_everywhere(world: World, mixed: Process) -> None:
    message = letter_of(mixed, MISSING)
    report = mixed.operators.dead_letters.discard(DeadLetterFilter(code=MISSING), FOR_REAL)
    again = mixed.operators.dead_letters.discard(DeadLetterFilter(code=MISSING), FOR_REAL)

    assert (report.changed, again.found) == (1, 0)
    (entry,) = world.audit(step="discarded")
    assert (entry["correlationId"], entry["detail"]) == (
        message["correlationId"],
        {"reason": REASON, "askedBy": "kari"},
    )
    status = mixed.operators.status.read()
    assert (status.dead, status.pending, status.set_aside) == (1, 0, {AMBIGUOUS: 1})
    assert [(row.set_aside, row.discarded) for row in status.institutions if row.dead] == [(1, 1)]
    history = mixed.operators.histories.by_correlation_id(message["correlationId"])
    assert history is not None
    assert history.discarded is not None
    assert (history.discarded.by, history.discarded.reason) == ("kari", REASON)
    assert (history.state, history.set_aside, history.next_action) == ("requested", None, None)
    assert history.milestones[-1].step == "discarded"
    (story,) = mixed.operators.dead_letters.show(message["correlationId"]).stories
    assert story.discarded is not None
    assert (story.letter.status, story.discarded.by, story.discarded.reason) == ("discarded", "kari", REASON)
    assert mixed.synchronisation.run_batch().handled == 0


def test_nothing_is_lost_by_a_discard(world: World, mixed: Process) -> None:
    world.database.cases.update_many({}, {"$set": {"openedAt": T0}})
    mixed.operators.dead_letters.discard(DeadLetterFilter(), FOR_REAL)
    assert mixed.operators.completeness.account().unaccounted == ()

    world.database.messages.update_many({}, {"$set": {"discardedAt": T0}})
    mixed.operators.dead_letters.discard(DeadLetterFilter(), FOR_REAL)

    assert world.database.messages.count_documents({}) == 0, "moved on: they cannot be brought back any more"
    assert world.database.processed_messages.count_documents({"status": "discarded"}) == 2
    assert mixed.operators.completeness.account().unaccounted == ()
    world.database.cases.update_many({"setAside": "discarded"}, {"$set": {"setAside": None}})
    assert len(mixed.operators.completeness.account().unaccounted) == 2, (
        "the mark on the case is what accounts for them"
    )


def test_effects_of_a_discarded_message_are_delivered_before_it_moves_on(world: World, letters: DeadLetters) -> None:
    owing = {"effectsDueAt": T0, "effects": [{"id": "1", "kind": "alert", "body": {}}]}
    world.database.messages.insert_many([dead(1, MISSING, **owing), dead(2, MISSING)])
    letters.discard(DeadLetterFilter(), FOR_REAL)
    long_ago = T0 - BROUGHT_BACK_WITHIN - timedelta(days=2)
    world.database.messages.update_many({}, {"$set": {"discardedAt": long_ago}})

    letters.discard(DeadLetterFilter(), FOR_REAL)

    assert [row["_id"] for row in world.database.messages.find()] == ["key-00001"]


def test_an_older_discard_cannot_be_taken_back(world: World, letters: DeadLetters) -> None:
    world.database.messages.insert_many([dead(1, MISSING), dead(2, MISSING)])
    letters.discard(DeadLetterFilter(), FOR_REAL)
    too_long_ago = T0 - BROUGHT_BACK_WITHIN - timedelta(seconds=1)
    world.database.messages.update_one({"_id": "key-00001"}, {"$set": {"discardedAt": too_long_ago}})

    report = letters.replay(DISCARDED, FOR_REAL)

    assert (report.found, report.changed) == (2, 1)


def test_a_mistaken_discard_is_taken_back(world: World, mixed: Process) -> None:
    message = letter_of(mixed, MISSING)
    mixed.operators.dead_letters.discard(DeadLetterFilter(code=MISSING), FOR_REAL)

    report = mixed.operators.dead_letters.replay(DISCARDED, FOR_REAL)

    assert report.changed == 1
    assert case_of(mixed, message)["setAside"] == MISSING, "until it has got further"
    assert mixed.synchronisation.run_batch().by_code == {MISSING: 1}
    again = letter_of(mixed, MISSING)
    assert (again["status"], again["generation"], "discardedAt" in again) == ("dead", 2, False)
    history = mixed.operators.histories.by_correlation_id(message["correlationId"])
    assert history is not None
    assert history.discarded is None


def test_a_request_that_fs_changes_after_a_discard_comes_as_a_new_message(world: World, mixed: Process) -> None:
    message = letter_of(mixed, MISSING)
    mixed.operators.dead_letters.discard(DeadLetterFilter(), FOR_REAL)
    request = message["payload"]["request"]
    asked = (request["examId"], request["kandidatnr"])
    (row,) = (row for row in world.control.cases() if (row["examId"], row["kandidatnr"]) == asked)
    world.control.change(row["caseId"], frist="2030-01-04")

    assert world.send(mixed) == 1

    messages = world.database.messages.find({"orderingKey": message["orderingKey"]})
    assert sorted(found["status"] for found in messages) == ["dead", "discarded"], "it was tried at once, not held back"
    case = case_of(mixed, message)
    assert case["setAside"] == MISSING
    history = mixed.operators.histories.by_correlation_id(message["correlationId"])
    assert history is not None
    assert history.discarded is None


@pytest.mark.parametrize("other", ["dead", "failed", "enqueued", "processing"])
def test_a_case_is_discarded_only_with_the_last_message_that_drives_it(
    other: str, world: World, mixed: Process
) -> None:
    message = letter_of(mixed, MISSING)
    world.database.messages.insert_one({**message, "_id": "another version", "status": other, "errors": []})

    assert mixed.operators.dead_letters.discard(DeadLetterFilter(code=MISSING), FOR_REAL).changed == 1

    assert case_of(mixed, message)["setAside"] == MISSING
    world.database.messages.update_one({"_id": "another version"}, {"$set": {"status": "dead"}})
    assert mixed.operators.dead_letters.discard(DeadLetterFilter(code="unknown"), FOR_REAL).changed == 1
    assert case_of(mixed, message)["setAside"] == "discarded"


def test_a_case_that_got_further_is_not_discarded(world: World, mixed: Process) -> None:
    """A newer version of the request has reached the assessor. Only the old version's message is discarded."""
    message = letter_of(mixed, MISSING)
    further = {"state": "dispatched", "setAside": None}
    world.database.cases.update_one({"_id": message["orderingKey"]}, {"$set": further})

    mixed.operators.dead_letters.discard(DeadLetterFilter(code=MISSING), FOR_REAL)

    assert {name: case_of(mixed, message)[name] for name in further} == further


def test_only_a_dead_message_can_be_discarded(letters: DeadLetters) -> None:
    with pytest.raises(ValueError, match="only dead messages can be discarded"):
        letters.discard(DeadLetterFilter(MessageStatus.FAILED), FOR_REAL)


def test_a_case_marked_before_a_crash_is_corrected_by_the_next_discard(world: World, mixed: Process) -> None:
    """The case is marked first. Until its message follows, the message stays in the list and the case is not lost."""
    world.database.cases.update_many({}, {"$set": {"openedAt": T0}})
    message = letter_of(mixed, MISSING)
    mixed.capability(Explanations).cases.discard([message["orderingKey"]], by="kari", reason=REASON)

    assert mixed.operators.dead_letters.find(DeadLetterFilter(code=MISSING), 10).found == 1
    assert mixed.operators.completeness.account().unaccounted == ()
    assert mixed.operators.dead_letters.discard(DeadLetterFilter(code=MISSING), FOR_REAL).changed == 1
    mixed.capability(Explanations).cases.bring_back([message["orderingKey"]], MISSING)

    assert mixed.operators.completeness.account().unaccounted == ()
    assert mixed.operators.dead_letters.replay(DISCARDED, FOR_REAL).changed == 1
    assert case_of(mixed, message)["setAside"] == MISSING
