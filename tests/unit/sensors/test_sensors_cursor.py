"""The cursor of the polling sensors is a hint. Losing it costs one round of polls and nothing else."""

import pytest

from sensors.cursor import Cursor


def test_a_cursor_is_read_back_as_it_was_written() -> None:
    cursor = Cursor().with_first("uis.no/prod").next_batch()

    assert Cursor.read(cursor.write()) == cursor


@pytest.mark.parametrize(
    "unreadable",
    [None, "", "uis.no/prod", "{", "[]", '{"version": 2, "first": "a"}', '{"version": 1, "batches": "many"}'],
)
def test_an_unreadable_cursor_starts_over_instead_of_failing(unreadable: str | None) -> None:
    cursor = Cursor.read(unreadable)

    assert (cursor.first, cursor.batches) == (None, 0)


def test_each_batch_has_a_run_key_of_its_own() -> None:
    first = Cursor().next_batch()

    assert first.run_key("backlog_sensor") != first.next_batch().run_key("backlog_sensor")
    assert first.run_key("backlog_sensor") == Cursor.read(first.write()).run_key("backlog_sensor")


def test_a_lost_cursor_repeats_no_run_key() -> None:
    """Dagster remembers a run key for ever. It would silently drop a run with a repeated key."""
    before = set(_after(3))

    assert before.isdisjoint(_after(3))


def _after(batches: int) -> list[str]:
    cursor, keys = Cursor.read(None), []
    for _ in range(batches):
        cursor = cursor.next_batch()
        keys.append(cursor.run_key("backlog_sensor"))
    return keys
