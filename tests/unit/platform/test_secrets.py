"""Credentials are read from the environment, by reference."""

import pytest

from casebridge.errors import AuthBrokenError
from casebridge.secrets import Secrets, variable_name


def test_a_reference_names_its_variables() -> None:
    assert variable_name("uis.no-fs", "PASSWORD") == "CASEBRIDGE_SECRET_UIS_NO_FS_PASSWORD"


def test_credentials_are_read_by_reference() -> None:
    secrets = Secrets({"CASEBRIDGE_SECRET_UIS_FS_USERNAME": "u", "CASEBRIDGE_SECRET_UIS_FS_PASSWORD": "p"})
    assert secrets.basic("uis-fs") == ("u", "p")


@pytest.mark.parametrize("environment", [{}, {"CASEBRIDGE_SECRET_UIS_FS_API_KEY": ""}])
def test_a_missing_secret_pauses_the_institution_and_names_the_variable(environment: dict[str, str]) -> None:
    with pytest.raises(AuthBrokenError, match="CASEBRIDGE_SECRET_UIS_FS_API_KEY") as missing:
        Secrets(environment).api_key("uis-fs")
    assert missing.value.code == "credentials.missing"
