"""Senseless calls: each simulator answers with what is wrong, and never with a failure of its own."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from simulators.process import RunningSimulators, running
from tests.support.simulator_callers import WiseflowCaller, fs_of, registration, session, wiseflow_of

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
@pytest.mark.parametrize("with_login", [True, False])
@pytest.mark.parametrize(
    "path", ["/flows/{}/participants", "/flows/1/participants/{}", "/flow/1/explanation/request/{}"]
)
def test_an_id_of_many_digits_is_not_found(
    wiseflow: WiseflowCaller, path: str, digits: int, *, with_login: bool
) -> None:
    headers = wiseflow.credentials() if with_login else {}
    answer = wiseflow.http.get(wiseflow.address + path.format("9" * digits), headers=headers, timeout=20)
    assert answer.status_code == 404


@pytest.mark.parametrize("login", ["æøå".encode("latin-1"), "æøå".encode(), b"\xff", b"/w==", b"%%%", b"bm8tY29sb24="])
def test_a_login_of_fs_that_cannot_be_read_is_refused(simulators: RunningSimulators, login: bytes) -> None:
    answer = session().get(
        f"{simulators.addresses['fs']}/versjon", headers={"Authorization": b"Basic " + login}, timeout=20
    )
    assert answer.status_code == 401


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_an_incomplete_character_is_refused_in_each_encoding(
    simulators: RunningSimulators, wiseflow: WiseflowCaller, encoding: str
) -> None:
    org_id, fs = wiseflow.institution["orgId"], fs_of(simulators, wiseflow.institution)
    (case,) = simulators.control.cases()[:1]
    row = {"personlopenr": case["personlopenr"], "kandidatnr": case["kandidatnr"], "kommisjonsId": None}
    for half in ("\ud800", "\\ud800"):
        order = json.dumps({"orgId": org_id, "expected": "HALF"}).replace("HALF", half)
        body = json.dumps(registration(case["examId"], row, "HALF")).replace("HALF", half)
        refused = [
            send(simulators, "control", "POST", "/requests", order.encode(encoding, "surrogatepass"), JSON),
            fs.http.post(
                f"{fs.address}/begrunnelser/WISEFLOW", data=body.encode(encoding, "surrogatepass"),
                auth=(wiseflow.institution["fs"]["username"], wiseflow.institution["fs"]["password"]), timeout=20,
            ),
        ]  # fmt: skip
        assert [answer.status_code for answer in refused] == [400, 400]
    assert len(fs.rows(case["examId"])) == len([one for one in simulators.control.cases() if one["visibleAt"]])


@pytest.mark.parametrize(
    ("path", "order", "field"),
    [
        ("/rates", {"calls_per_second": "x"}, "calls_per_second"),
        ("/rates", {"calls_per_minute": None}, "calls_per_minute"),
        ("/assessors", {"minimum_delay_s": "x"}, "minimum_delay_s"),
        ("/assessors", {"maximum_delay_s": None}, "maximum_delay_s"),
        ("/faults", {"rules": [{"kind": "status", "system": "fs", "method": 1}]}, "method"),
        ("/faults", {"rules": [{"kind": "status", "system": "fs", "times": "3"}]}, "times"),
        ("/faults", {"rules": [{"kind": "status", "system": "fs", "retry_after": "€"}]}, "retry_after"),
        ("/faults", {"rules": [{"kind": "status", "system": "fs", "status": 42}]}, "status"),
        ("/faults", {"rules": [{"kind": "html", "system": "fs", "status": 204}]}, "status"),
        ("/faults", {"rules": [{"kind": "status", "system": "fs", "path": "(" * 5000 + ")" * 5000}]}, "path"),
        ("/requests", {"expected": ["x"]}, "expected"),
        ("/requests", {"answer_text": {"a": 1}}, "answer_text"),
        ("/requests", {"sistEndret": "9999-12-31T23:59:59Z"}, "sistEndret"),
        ("/requests", {"oddity": "no_flow", "externalIds": []}, "externalIds"),
        ("/change", {"caseId": 1, "expected": ["x"]}, "expected"),
        ("/answers/change", {"explanationRequestId": 1, "text": {"a": 1}}, "text"),
        ("/population", {"today": "0001-01-02"}, "today"),
        ("/population", {"institutions": 1.5}, "institutions"),
    ],
)
def test_a_refused_order_names_the_field(
    simulators: RunningSimulators, wiseflow: WiseflowCaller, path: str, order: dict[str, Any], field: str
) -> None:
    if path == "/requests":
        order = {"orgId": wiseflow.institution["orgId"], **order}
    before = simulators.control.cases()
    answer = send(simulators, "control", "POST", path, json.dumps(order).encode(), JSON)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"{field} must be ")
    assert simulators.control.cases() == before


def test_a_row_can_be_given_malformed_values(simulators: RunningSimulators, wiseflow: WiseflowCaller) -> None:
    fields = {"kandidatnr": "A-17", "kommisjonsId": ["1"], "frist": {"a": [None, 1e300]}, "sistEndret": "i går"}
    case = simulators.control.add_request(wiseflow.institution["orgId"], raw=fields, omit=["personlopenr"])
    (row,) = fs_of(simulators, wiseflow.institution).rows(case["examId"])
    assert fields.items() <= row.items()
    simulators.control.change(case["caseId"], raw={}, brukernavn={"a": [1]}, externalIds=None)
    (row,) = fs_of(simulators, wiseflow.institution).rows(case["examId"])
    assert row["brukernavn"] == {"a": [1]}


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
