"""Thousands of dead messages are replayed and discarded in batches."""

from collections.abc import Callable

import pytest

from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import BATCH, NAMED, DeadLetters, Order
from tests.support.command_counts import counted
from tests.support.dead_letters import MISSING, REASON, dead
from tests.support.world import World


def ask_list(letters: DeadLetters) -> int:
    return letters.find(DeadLetterFilter(code=MISSING), 20).found


def dry_run(letters: DeadLetters) -> int:
    return letters.replay(DeadLetterFilter(), Order(limit=2000)).chosen


def replay(letters: DeadLetters) -> int:
    return letters.replay(DeadLetterFilter(), Order(2000, False, REASON, "kari")).changed


def discard(letters: DeadLetters) -> int:
    return letters.discard(DeadLetterFilter(), Order(2000, False, REASON, "kari")).changed


BATCHES = 2000 // BATCH


@pytest.mark.parametrize(
    ("ask", "commands"),
    [
        # One query counts by code, one lists twenty rows.
        (ask_list, {"aggregate": 2}),
        (dry_run, {"aggregate": 2}),
        # For each batch: read, audit, change. Half of them were replayed before, and each generation is changed separately.
        # Then the lanes are notified.
        (
            replay,
            {"aggregate": 2, "getMore": BATCHES, "insert": BATCHES, "find": BATCHES, "update": 3 * BATCHES},
        ),
        # Also for each batch: other messages of these cases, and the mark in the cases; at the end, messages that can move on.
        (
            discard,
            {"aggregate": 2, "getMore": BATCHES, "find": BATCHES + 1, "insert": BATCHES, "update": 3 * BATCHES},
        ),
    ],
)
def test_two_thousand_letters_cost_a_few_round_trips(
    ask: Callable[[DeadLetters], int], commands: dict[str, int], world: World, letters: DeadLetters
) -> None:
    world.database.messages.insert_many([dead(number, MISSING, generation=1 + number % 2) for number in range(2000)])

    with counted() as sent:
        assert ask(letters) == 2000

    assert set(sent) <= set(commands)
    assert {name: count for name, count in sent.items() if count > commands[name]} == {}


def test_progress_is_reported_after_each_batch_and_few_cases_are_named(world: World, letters: DeadLetters) -> None:
    world.database.messages.insert_many([dead(number, MISSING) for number in range(BATCH + 10)])
    progress: list[tuple[int, int]] = []

    report = letters.replay(
        DeadLetterFilter(), Order(BATCH + 5, False, REASON, "kari"), lambda done, of: progress.append((done, of))
    )

    assert progress == [(BATCH, BATCH + 5), (BATCH + 5, BATCH + 5)]
    assert (report.found, report.chosen, report.changed) == (BATCH + 10, BATCH + 5, BATCH + 5)
    assert report.correlation_ids == [f"correlation-{number}" for number in range(NAMED)]
    assert letters.find(DeadLetterFilter(), 10).found == 5
