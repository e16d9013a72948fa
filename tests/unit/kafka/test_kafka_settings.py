"""An incomplete login is refused at the start. The error names the settings and never their values."""

import pytest
from pydantic import ValidationError

from casebridge.settings import KafkaSettings, Settings


def test_a_complete_login_is_accepted() -> None:
    settings = KafkaSettings.model_validate(
        {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "user": "casebridge", "password": "hemmelig"}
    )
    assert settings.sasl_mechanism == "PLAIN"


@pytest.mark.parametrize("missing", ["sasl_mechanism", "user", "password"])
def test_a_login_needs_all_its_parts(missing: str) -> None:
    login = {"sasl_mechanism": "PLAIN", "user": "casebridge", "password": "hemmelig"}
    del login[missing]
    with pytest.raises(ValidationError, match=f"is SASL_SSL: set CASEBRIDGE_KAFKA__{missing.upper()} ") as caught:
        Settings.model_validate({"kafka": {"security_protocol": "SASL_SSL", **login}})
    is_shown = "hemmelig" in str(caught.value)
    assert not is_shown


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_a_login_that_would_not_be_used_is_refused(protocol: str) -> None:
    with pytest.raises(ValidationError, match=r"with which nobody logs in.*CASEBRIDGE_KAFKA__PASSWORD ") as caught:
        Settings.model_validate({"kafka": {"security_protocol": protocol, "password": "hemmelig"}})
    is_shown = "hemmelig" in str(caught.value)
    assert not is_shown
