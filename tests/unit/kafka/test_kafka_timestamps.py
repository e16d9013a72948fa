"""The timestamp of a Kafka record may be any 64-bit number. Each becomes a time that the calendar has."""

from datetime import UTC
from types import SimpleNamespace

import pytest

from casebridge.correlation_id import new_correlation_id
from resources.kafka.consumer import written_at


@pytest.mark.parametrize(
    "milliseconds", [None, -(2**63), -1, 0, 1, 253_402_300_799_999, 253_402_300_800_000, 2**63 - 1]
)
def test_any_timestamp_becomes_a_time(milliseconds: int | None) -> None:
    moment = written_at(SimpleNamespace(timestamp=milliseconds))
    assert moment.tzinfo is UTC
    assert 1970 <= moment.year <= 9999
    assert len(new_correlation_id(moment)) == 32
