"""Calls that nobody means: each simulator answers with what is wrong, never with a failure of its own."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from simulators.process import RunningSimulators, running
from tests.contract.simulator_callers import WiseflowCaller, session, wiseflow_of

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
DEEP = b"[" * 200_000
BODIES = [b"", b"\xff\xfe\x00", DEEP, b"[1]", b"null", b'"x"', b"1" * 5000, b'{"a": ' * 100_000, b'{"a": "\\ud800"}']


@pytest.fixture(scope="module")
def simulators() -> Iterator[RunningSimulators]:
    with running(seed=11) as started:
        yield started


@pytest.fixture(scope="module")
def wiseflow(simulators: RunningSimulators) -> WiseflowCaller:
    world = simulators.control.population(institutions=1, courses=1, requests=1, seed=11, variety=False)
    return wiseflow_of(simulators, world["institutions"][0])


def send(
    simulators: RunningSimulators, system: str, method: str, path: str, body: bytes, media_type: str, **headers: str
) -> requests.Response:
    address = simulators.addresses[system].rstrip("/")
    return session().request(
        method, f"{address}{path}", data=body, headers={"Content-Type": media_type, **headers}, timeout=20
    )


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:12]))
@pytest.mark.parametrize(
    ("system", "method", "path", "media_type"),
    [
        ("wiseflow", "POST", "/oauth2/token", FORM),
        ("laas", "POST", "/index/_doc", JSON),
        ("slack_api", "POST", "/chat.postMessage", JSON),
        ("slack_api", "POST", "/chat.postMessage", FORM),
    ],
)
def test_no_body_makes_a_server_fail(
    simulators: RunningSimulators, system: str, method: str, path: str, media_type: str, body: bytes
) -> None:
    assert send(simulators, system, method, path, body, media_type).status_code < 500


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:12]))
def test_no_body_of_a_caller_with_rights_makes_wiseflow_fail(wiseflow: WiseflowCaller, body: bytes) -> None:
    answer = wiseflow.http.post(
        f"{wiseflow.address}/sources/search",
        data=body,
        headers={"Content-Type": JSON, **wiseflow.credentials()},
        timeout=20,
    )
    assert 400 <= answer.status_code < 500
    if answer.status_code == 400:
        assert "data" not in answer.json(), "an answer of 400 has no data, not even null"


@pytest.mark.parametrize("digits", [19, 5000])
def test_an_id_of_many_digits_is_not_found(wiseflow: WiseflowCaller, digits: int) -> None:
    answer = wiseflow.http.get(
        f"{wiseflow.address}/flows/{'9' * digits}/participants", headers=wiseflow.credentials(), timeout=20
    )
    assert answer.status_code == 404


@pytest.mark.parametrize("media_type", ["Application/JSON", "APPLICATION/JSON; charset=UTF-8"])
def test_media_types_are_the_same_in_capitals(wiseflow: WiseflowCaller, media_type: str) -> None:
    answer = wiseflow.http.post(
        f"{wiseflow.address}/sources/search",
        data=b'{"sourceCode": "ABC||DEF"}',
        headers={"Content-Type": media_type, **wiseflow.credentials()},
        timeout=20,
    )
    assert answer.status_code == 200


def test_separators_at_the_end_of_a_code_say_nothing(simulators: RunningSimulators, wiseflow: WiseflowCaller) -> None:
    case: dict[str, Any] = simulators.control.add_request(wiseflow.institution["orgId"])
    code = base64.urlsafe_b64decode(case["examId"] + "==").decode()
    assert wiseflow.flows_of(code) == wiseflow.flows_of(f"{code}||") == [case["flowId"]]
