"""A correlation id is a UUID of version 7. It names one case for ever, and sorts by the time at which it was made."""

import uuid
from datetime import UTC, datetime, timedelta

from casebridge.correlation_id import new_correlation_id

MOMENT = datetime(2026, 2, 28, 23, 59, 59, 999_000, tzinfo=UTC)


def test_it_is_a_uuid_of_version_7() -> None:
    for _ in range(100):
        one = uuid.UUID(new_correlation_id(MOMENT))
        assert (one.version, one.variant) == (7, uuid.RFC_4122)


def test_it_begins_with_its_time_to_the_millisecond() -> None:
    given = uuid.UUID(new_correlation_id(MOMENT))
    assert given.int >> 80 == int(MOMENT.timestamp() * 1000)


def test_it_sorts_by_time() -> None:
    moments = [MOMENT + timedelta(milliseconds=step) for step in range(50)]
    ids = [new_correlation_id(moment) for moment in moments]
    assert ids == sorted(ids)
    assert {len(one) for one in ids} == {32}


def test_two_ids_of_one_moment_differ() -> None:
    assert len({new_correlation_id(MOMENT) for _ in range(10_000)}) == 10_000


def test_a_time_before_1970_does_not_raise() -> None:
    """Kafka gives -1 for a record without a time."""
    one = uuid.UUID(new_correlation_id(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)))
    assert (one.int >> 80, one.version) == (0, 7)
