"""Which alerts are muted: only what a valid, unexpired row clearly names."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from casebridge.alerts.blacklist import muted_by

NOW = datetime(2026, 1, 8, 9, 0, tzinfo=UTC)
ALERT = {
    "orgId": "uis.no",
    "submodule": "wiseflow-begrunnelse",
    "code": "wiseflow.participant_missing",
    "cause": "No participant on flow 771203 has the candidate's exam id.",
}


def mutes(**row: Any) -> bool:
    return muted_by(ALERT, [row], NOW) is not None


def test_a_row_mutes_by_institution_submodule_and_pattern() -> None:
    assert mutes(orgId="uis.no", submodule="wiseflow-begrunnelse", pattern="participant_missing")
    assert mutes(pattern="flow 7712\\d+")


@pytest.mark.parametrize(
    "row",
    [
        {"orgId": "uio.no", "pattern": "participant"},
        {"submodule": "wiseflow-klage", "pattern": "participant"},
        {"pattern": "flow_ambiguous"},
        {"pattern": "participant", "expires": NOW - timedelta(seconds=1)},
        {"pattern": "participant", "expires": "2026-01-08T08:59:59+00:00"},
        {"pattern": "participant", "expires": "sometime"},
        {"pattern": "participant("},
    ],
)
def test_better_noise_than_silence(row: dict[str, Any]) -> None:
    assert not mutes(**row)


def test_a_row_that_expires_later_mutes() -> None:
    assert mutes(pattern="participant", expires=NOW + timedelta(days=1))
    assert mutes(pattern="participant", expires="2026-02-01T00:00:00")
