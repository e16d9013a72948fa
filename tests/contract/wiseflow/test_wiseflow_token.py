"""WISEflow's OAuth2 tokens: how long a token is used, where it is sent, and which answers are no token."""

import pytest

from casebridge.errors import TransientError
from casebridge.institutions.institution import WiseflowAccess
from casebridge.secrets import Secrets
from casebridge.settings import HttpSettings, WiseflowSettings
from resources.http.client import HttpClient
from resources.wiseflow.client import WiseflowClient
from resources.wiseflow.token import AccessToken
from tests.contract.wiseflow.test_wiseflow_client import ACCESS
from tests.support.scripted_server import ScriptedServer, answer


@pytest.mark.parametrize(("expires_in", "usable"), [(3599.0, 3479.0), (130.0, 65.0), (100.0, 50.0), (0.0, 0.0)])
def test_a_short_token_is_used_for_half_of_its_life(expires_in: float, usable: float) -> None:
    assert AccessToken("t", expires_in).usable_seconds(120) == usable


def test_a_token_is_in_the_header_and_in_no_representation() -> None:
    token = b'{"access_token": "sesame", "token_type": "bearer", "expires_in": 100}'
    flow = b'{"id": 7, "state": 4, "variant": 0}'
    with ScriptedServer(answer("200 OK", token), answer("200 OK", flow)) as server:
        access = WiseflowAccess.model_validate({**ACCESS, "authentication": "oauth2", "baseUrl": server.address})
        secrets = Secrets({"CASEBRIDGE_SECRET_X_CLIENT_ID": "a", "CASEBRIDGE_SECRET_X_CLIENT_SECRET": "b"})
        client = WiseflowClient(
            access, secrets, WiseflowSettings(), HttpClient("WISEflow", server.address, HttpSettings())
        )
        assert client.flow(7).flow_id == 7
        assert client.flow(7).flow_id == 7
        assert len(server.requests) == 3
        assert "Authorization: Bearer sesame" in server.requests[1]
        client.http.close()
    assert "sesame" not in repr(AccessToken("sesame", 1.0))


@pytest.mark.parametrize(
    "body",
    [
        b'{"access_token": "a\\nb"}', b'{"access_token": ""}', b'{"access_token": "\\u00e6"}', b'{"access_token": " a"}',
        b'{"access_token": "' + b"x" * 20_000 + b'"}', b'{"access_token": null}', b'{"access_token": ["a"]}',
        b'{"access_token": 1}',
        b'{"access_token": "a", "expires_in": "soon"}', b'{"access_token": "a", "expires_in": {}}', b"[]", b"null", b'"a"',
    ],
)  # fmt: skip
def test_an_answer_without_a_token_is_not_blamed_on_the_credentials(body: bytes) -> None:
    """A proxy may answer in WISEflow's place. The institution is not paused for that."""
    with ScriptedServer(answer("200 OK", body)) as server:
        client = with_token(server)
        with pytest.raises(TransientError) as caught:
            client.flow(7)
        assert caught.value.code == "wiseflow.shape_unknown"
        client.http.close()


@pytest.mark.parametrize("seconds", ["null", "0", "-5", "NaN", "1e400", "-1e400", '"3600"', "1e300"])
def test_a_token_with_a_malformed_lifetime_is_used_for_a_call(seconds: str) -> None:
    token = f'{{"access_token": "sesame", "expires_in": {seconds}}}'.encode()
    with ScriptedServer(answer("200 OK", token), answer("200 OK", b'{"id": 7, "state": 4, "variant": 0}')) as server:
        client = with_token(server)
        assert client.flow(7).flow_id == 7
        client.http.close()


def with_token(server: ScriptedServer) -> WiseflowClient:
    access = WiseflowAccess.model_validate({**ACCESS, "authentication": "oauth2", "baseUrl": server.address})
    secrets = Secrets({"CASEBRIDGE_SECRET_X_CLIENT_ID": "a", "CASEBRIDGE_SECRET_X_CLIENT_SECRET": "b"})
    return WiseflowClient(access, secrets, WiseflowSettings(), HttpClient("WISEflow", server.address, HttpSettings()))
