"""A login that is half set is told at once, by the names of the settings and never by their values."""

import pytest
from pydantic import ValidationError

from casebridge.settings import KafkaSettings, Settings


def test_a_login_that_is_whole_is_taken() -> None:
    settings = KafkaSettings.model_validate(
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "user": "casebridge", "password": "hemmelig"}
    )
    assert settings.sasl_mechanism == "PLAIN"


@pytest.mark.parametrize("missing", ["sasl_mechanism", "user", "password"])
def test_a_login_wants_all_its_parts(missing: str) -> None:
    login = {"sasl_mechanism": "PLAIN", "user": "casebridge", "password": "hemmelig"}
    del login[missing]
    with pytest.raises(ValidationError, match=f"is SASL_SSL: set CASEBRIDGE_KAFKA__{missing.upper()} ") as caught:
        Settings.model_validate({"kafka": {"security_protocol": "SASL_SSL", **login}})
    told = "hemmelig" in str(caught.value)
    assert not told


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_a_login_that_nobody_would_use_is_told(protocol: str) -> None:
    with pytest.raises(ValidationError, match=r"with which nobody logs in.*CASEBRIDGE_KAFKA__PASSWORD ") as caught:
        Settings.model_validate({"kafka": {"security_protocol": protocol, "password": "hemmelig"}})
    told = "hemmelig" in str(caught.value)
    assert not told
