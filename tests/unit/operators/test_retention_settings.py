"""The settings for retention must fit together. A wrong setting is refused before anything is removed."""

from typing import Any

import pytest
from pydantic import ValidationError

from casebridge.settings import Settings


def error_message(**sections: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as refused:
        Settings(**sections)
    (problem,) = refused.value.errors()
    return str(problem["msg"])


def test_the_defaults_fit_together() -> None:
    kept = Settings().retention

    assert kept.received_key_days > kept.processed_message_days
    assert kept.audit_days > kept.received_key_days


@pytest.mark.parametrize(
    ("retention", "shorter", "longer"),
    [
        ({"received_key_days": 100}, "PROCESSED_MESSAGE_DAYS", "RECEIVED_KEY_DAYS is 100"),
        ({"processed_message_days": 800}, "PROCESSED_MESSAGE_DAYS, which is 800", "RECEIVED_KEY_DAYS"),
        ({"audit_days": 100}, "PROCESSED_MESSAGE_DAYS", "AUDIT_DAYS is 100"),
        ({"dagster_run_days": 365}, "DAGSTER_RUN_DAYS", "DAGSTER_RUN_KEY_DAYS"),
    ],
    ids=str,
)
def test_data_must_be_kept_as_long_as_other_data_needs_it(
    retention: dict[str, float], shorter: str, longer: str
) -> None:
    message = error_message(retention=retention)

    assert f"CASEBRIDGE_RETENTION__{longer}" in message
    assert shorter in message


@pytest.mark.parametrize(
    "reach",
    [{"fs": {"reconcile_overlap_days": 40}}, {"fs": {"first_read_days": 40}}, {"answers": {"watch_days": 40}}],
    ids=str,
)
def test_keys_outlast_what_the_sources_may_send_again(reach: dict[str, Any]) -> None:
    keys = {"processed_message_days": 20, "received_key_days": 40}

    message = error_message(retention=keys, **reach)

    assert (
        "CASEBRIDGE_RETENTION__RECEIVED_KEY_DAYS is 40, and must be longer than the sources are read back: 40 days"
        in message
    )
    assert Settings(retention={**keys, "received_key_days": 41}, **reach).retention.received_key_days == 41


def test_the_audit_may_be_kept_for_ever() -> None:
    assert Settings(retention={"audit_days": 0}).retention.audit_days == 0
