"""Dead messages are found and shown in one place, with everything that an operator needs."""

from datetime import timedelta

import pytest

from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import DeadLetters
from tests.support.dead_letters import FOR_REAL, MISSING, T0, Document, dead
from tests.support.world import World


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [1, 2, 3]),
        ({"code": "a.last"}, [1, 3]),
        ({"code": "b.last"}, [2]),
        ({"code": "unknown"}, []),
        ({"queue": "wiseflow-begrunnelse-svar"}, [3]),
        ({"institution": "uib.no/prod"}, [2]),
        ({"correlation_id": "correlation-1"}, [1]),
        ({"since": T0 + timedelta(minutes=2)}, [2, 3]),
        ({"before": T0 + timedelta(minutes=2)}, [1]),
        ({"since": T0 + timedelta(minutes=2), "before": T0 + timedelta(minutes=3)}, [2]),
        ({"code": "a.last", "since": T0 + timedelta(minutes=2)}, [3]),
        ({"status": MessageStatus.FAILED}, [4]),
        ({"status": MessageStatus.DISCARDED}, []),
    ],
    ids=str,
)
def test_a_filter_chooses_by_the_last_error(
    wanted: Document, found: list[int], world: World, letters: DeadLetters
) -> None:
    world.database.messages.insert_many(
        [
            dead(3, "a.last", queue="wiseflow-begrunnelse-svar"),
            dead(2, "a.last", "b.last", institution="uib.no/prod"),
            dead(1, "b.last", "a.last"),
            dead(4, "a.last", status="failed"),
            dead(5, "a.last", status="processing"),
        ]
    )

    listing = letters.find(DeadLetterFilter(**wanted), 100)

    assert [letter.correlation_id for letter in listing.letters] == [f"correlation-{number}" for number in found]
    assert listing.found == sum(listing.by_code.values()) == len(found)


def test_a_list_is_cut_off_and_counts_all(world: World, letters: DeadLetters) -> None:
    world.database.messages.insert_many([dead(number, "a.last") for number in range(30)])

    listing = letters.find(DeadLetterFilter(), 20)

    assert [letter.correlation_id for letter in listing.letters] == [f"correlation-{number}" for number in range(20)]
    assert (listing.found, listing.by_code) == (30, {"a.last": 30})


def test_only_failed_dead_or_discarded_messages_can_be_chosen() -> None:
    for status in (MessageStatus.ENQUEUED, MessageStatus.PROCESSING, MessageStatus.PROCESSED):
        with pytest.raises(ValueError, match="only dead, failed or discarded"):
            DeadLetterFilter(status)


def test_documents_of_the_first_release_are_found_shown_and_replayed(world: World, letters: DeadLetters) -> None:
    """They lack fields that came later. One was replayed then, and one has as few fields as possible."""
    replayed = dead(1, MISSING, replayedAt=T0, replayedBy="ola", replayReason="before the upgrade", generation=2)
    poor = {"_id": "poor", "status": "dead"}
    world.database.messages.insert_many([replayed, poor])

    listing = letters.find(DeadLetterFilter(), 10)
    assert listing.by_code == {MISSING: 1, "unknown": 1}
    assert letters.find(DeadLetterFilter(code="unknown"), 10).found == 1
    (story,) = letters.show("correlation-1").stories
    assert [(instruction.at, instruction.by, instruction.reason) for instruction in story.replayed] == [
        (T0, "ola", "before the upgrade")
    ]

    assert letters.replay(DeadLetterFilter(), FOR_REAL).changed == 2
    assert {row["_id"]: row["generation"] for row in world.database.messages.find()} == {"poor": 2, "key-00001": 3}
    world.database.messages.update_many({}, {"$set": {"status": "dead"}})
    (story,) = letters.show("correlation-1").stories
    assert [(instruction.by, story.letter.replays) for instruction in story.replayed] == [("ola", 2), ("kari", 2)]


def test_a_letter_is_shown_with_all_that_an_operator_needs_and_nothing_personal(
    world: World, letters: DeadLetters
) -> None:
    step = {"at": T0, "fence": 1, "milliseconds": 41, "result": {"text": "secret-result"}, "last": False}
    origin = {"topic": "begrunnelser", "partition": 2, "offset": 1041, "value": "secret-value", "key": "secret-key"}
    world.database.messages.insert_one(
        dead(
            7,
            "wiseflow.http_503",
            MISSING,
            steps={"find_exam": step},
            origin=origin,
            payload={"text": "secret-payload"},
            effects=[{"id": "1", "kind": "alert", "body": {"text": "secret-effect"}}],
        )
    )

    (story,) = letters.show("correlation-7").stories

    assert story.origin == {"topic": "begrunnelser", "partition": 2, "offset": 1041}
    assert (story.letter.came_by, story.letter.step, story.letter.code) == ("kafka", "find_candidate", MISSING)
    assert [(error.attempt, error.code) for error in story.errors] == [(1, "wiseflow.http_503"), (2, MISSING)]
    assert [(done.name, done.milliseconds) for done in story.steps_done] == [("find_exam", 41)]
    shown = f"{story.plain()} {letters.find(DeadLetterFilter(), 10).plain()}"
    assert "secret" not in shown
    assert "key-00007" not in shown, "a message's key is a fingerprint of a person's data"
    assert letters.show("correlation-7", "wiseflow-begrunnelse-svar").stories == []
