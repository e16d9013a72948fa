"""Every route of every simulator and of the control interface, called with unusual methods, paths, queries, headers and bodies.

No call may make a simulator fail. New routes are found and called without a change here.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import requests

from simulators import control, fs_digex, laas, slack, wiseflow
from simulators.assessors import Assessors
from simulators.process import RunningSimulators, running
from simulators.state import World

HALF_A_CHARACTER: Final = '{"a": "\\ud800", "text": "\\ud800", "channel": "x", "sourceCode": "\\ud800||"}'
BODIES: Final = (
    b"", b"\xff\xfe\x00", b"[" * 200_000, b"[]", b"[1]", b"null", b'"x"', b"1", b"1" * 5000, b'{"a": ' * 100_000, b"{}",
    b'{"a": "\\ud800", "text": "x", "channel": "x"}', b"NaN", b'{"x": NaN, "text": "x"}', b'{"x": 1e400}', b'{"orgId": []}',
    b'{"orgId": {}}', b'{"caseId": []}', b'{"caseId": "x"}', b'{"count": "x"}', b'{"count": -1}', b'{"rules": 1}',
    b'{"explanationRequestId": {}}', b'{"rules": [1]}', b'{"rules": [{"system": 1}]}',
    b'{"rules": [{"kind": "status", "status": "x"}]}',
    b'{"minimum_delay_s": null}', b'{"institutions": "x"}', b'{"institutions": -1}', b'{"institutions": 1, "courses": 0}',
    b'{"seed": []}', b'{"days": "x"}', b'{"second": -1}', b'{"fs_list_shape": []}', b'{"x": 1}', b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"), *(HALF_A_CHARACTER.encode(encoding) for encoding in ("utf-16", "utf-16-be", "utf-32", "utf-32-le")),
    b'{"a": "\xed\xa0\x80"}', b'{"a": ' + b"[" * 495 + b"]" * 495 + b"}",
)  # fmt: skip
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "FOO")
QUERIES: Final = (
    "limit=abc", "limit=-1", f"limit={'9' * 30}", "limit=1e400", "condition=calls&count=x", "condition=calls&timeout_s=x",
    "condition=calls&timeout_s=nan", "condition=%ff", "institusjonsnr=x&siden=%ff", "institusjonsnr=%00&siden=9999-99-99",
    f"institusjonsnr={'9' * 5000}", "siden=0001-01-01T00:00:00%2B14:00", "pageSize=x&pageNumber=-1", "page=1e400&size=0",
    "[=]&%", "sisCode=%ff||", "limit=0&skip=-1&offset=x",
)  # fmt: skip
HEADERS: Final[tuple[Mapping[str, bytes], ...]] = (
    {"Content-Type": b"application/json"}, {"Content-Type": b"application/x-www-form-urlencoded"}, {"Content-Type": b";;"},
    {"Content-Type": b"multipart/form-data; boundary="}, {"Content-Type": b"\xff\xfe"}, {"Authorization": b"Basic %%%"},

    {"Authorization": "Basic æøå".encode("latin-1")}, {"Authorization": b"Basic \xff\xfe"}, {"Authorization": b"Basic /w=="},
    {"Authorization": b"Bearer \xff"}, {"Authorization": b"Basic"}, {"Authorization": b""},
    {"Cookie": b"\xff"}, {"x-api-key": b"\xff"}, {"X-Client-Name": b"\xff"},
    {"Host": b"["},
)  # fmt: skip
PARTS: Final = ("1", "0", "x", "9" * 18, "9" * 30, "9" * 5000, "%ff", "%2f", "..", "%00", "æ", "WISEFLOW")
PLAIN: Final = re.compile(r"[/A-Za-z0-9_.-]{1,60}")


@pytest.fixture(scope="module")
def simulators() -> Iterator[RunningSimulators]:
    with running(seed=12) as started:
        yield started


def paths(routes: list[Any], base: str) -> list[str]:
    known = [str(route.path).removeprefix(base) for route in routes]
    filled = {re.sub(r"{[^}]*}", part, path) for path in known for part in PARTS}
    return [*sorted(filled), "/", "/x", "//", "/%ff"]


def systems(addresses: Mapping[str, str], made: dict[str, Any]) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """The address of each simulator, all its paths, and valid credentials."""
    world = World(1)
    institution = made["institutions"][0]
    fs, access = institution["fs"], institution["wiseflow"]
    basic = base64.b64encode(f"{fs['username']}:{fs['password']}".encode()).decode()
    form = {name: access.get(name) for name in ("client_id", "client_secret")} | {"grant_type": "client_credentials"}
    token = requests.post(f"{addresses['wiseflow']}/oauth2/token", data=form, timeout=20)
    caller = (
        {"Authorization": f"Bearer {token.json()['access_token']}"} if token.ok else {"x-api-key": access["api_key"]}
    )
    assessors = Assessors(world)
    for address, system, base, credentials in (
        (addresses["fs"], fs_digex.FsDigex(world).system(), fs_digex.BASE, {"Authorization": f"Basic {basic}"}),
        (addresses["wiseflow"], wiseflow.Wiseflow(world, assessors).system(), wiseflow.BASE, caller),
        (addresses["laas"], laas.Laas(world).system(), "", {}),
        (
            addresses["slack_api"].removesuffix("/api/"),
            slack.Slack(world).system(),
            "",
            {"Authorization": "Bearer xoxb-1"},
        ),
    ):
        yield address, paths(system.routes, base), credentials
    yield addresses["control"], paths(list(control.Control(world, assessors).application().routes), ""), {}


def test_no_call_makes_a_simulator_fail(simulators: RunningSimulators) -> None:
    made = simulators.control.population(institutions=1, courses=1, requests=2, seed=3, variety=False)
    failed = []
    with requests.Session() as session:
        session.trust_env = False

        def call(method: str, url: str, body: bytes | None, headers: Mapping[str, str | bytes]) -> None:
            try:
                status = session.request(method, url, data=body, headers=dict(headers), timeout=20).status_code
            except requests.RequestException as error:
                status = type(error).__name__
            if not isinstance(status, int) or status >= 500:
                failed.append((method, url.partition("//")[2][:80], ascii(body)[:40], status))

        for address, its_paths, credentials in systems(simulators.addresses, made):
            for place, path in enumerate(its_paths):
                call(METHODS[place % len(METHODS)], address + path, None, credentials)
                call("GET", f"{address}{path}?{QUERIES[place % len(QUERIES)]}", None, credentials)
                call("POST", address + path, b"{}", {**credentials, **HEADERS[place % len(HEADERS)]})
            for path in (path for path in its_paths if PLAIN.fullmatch(path) and ".." not in path):
                for method in ("POST", "PATCH", "PUT"):
                    for body in BODIES if method == "POST" else BODIES[:4]:
                        call(method, address + path, body, {**credentials, "Content-Type": "application/json"})
                for query in QUERIES:
                    call("GET", f"{address}{path}?{query}", None, credentials)
    assert failed == []
