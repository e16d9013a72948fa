"""Tests deploy/Caddyfile on the real Caddy, in front of a server that answers everything: who reaches Dagster.

The server records which requests reach it. So a refused request is known by its answer and by its absence at the server.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Browser, Error, Page, sync_playwright
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from local_servers.caddy import Caddy, CaddyNotFoundError, installed_caddy, password_hash
from local_servers.child_process import Children
from local_servers.chromium import ARGUMENTS, installed_chromium
from tests.support.required_servers import required_in_ci

pytestmark = pytest.mark.contract

RULES = (Path(__file__).parents[3] / "deploy" / "Caddyfile").read_text()
LOGIN = ("operator", "a password")
EVIL = "https://evil.example"
GATEWAY = "https://casebridge.uis.no"
"""The institution's own gateway shows the UI under this address."""
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
IMAGE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
FRAME = {**LINK, "Sec-Fetch-Dest": "iframe"}


@dataclass
class Behind:
    """The server behind the proxy, and the requests that reached it: `POST /graphql`."""

    reached: list[str] = field(default_factory=list)
    port: int = 0

    def take(self) -> list[str]:
        """Record a request. The icon that a browser fetches by itself is not recorded."""
        taken, self.reached = self.reached, []
        return [one for one in taken if "favicon" not in one]


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    seen = Behind()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.reached.append(f"{self.command} {urlsplit(self.path).path}")
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "2")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"ok")

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = answer  # noqa: N815

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        seen.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield seen
        server.shutdown()


@pytest.fixture(scope="module")
def hashed() -> str:
    try:
        installed_caddy()
    except CaddyNotFoundError as error:
        required_in_ci(str(error))
    return password_hash(LOGIN[1])


def started(children: Children, port: int, hashed: str) -> Caddy:
    """Start Caddy with the real rules. Only the server behind it and its address are the test's."""
    rules = RULES.replace("webserver:3000", f"127.0.0.1:{port}")
    assert rules != RULES
    return Caddy(children, rules, {"UI_USER": LOGIN[0], "UI_PASSWORD_HASH": hashed, "UI_ORIGIN": GATEWAY})


@pytest.fixture(scope="module")
def proxy(children: Children, behind: Behind, hashed: str) -> Caddy:
    return started(children, behind.port, hashed)


def ask(proxy: Caddy, method: str, path: str, headers: dict[str, str], **options: Any) -> int:
    options.setdefault("auth", LOGIN)
    return requests.request(method, proxy.address + path, headers=headers, timeout=10, **options).status_code


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("GET", "/runs", {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}),
        ("GET", "/assets/x.js", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}),
        ("GET", "/locations/casebridge/jobs/reconcile", LINK),
        ("HEAD", "/runs", LINK),
        ("GET", "/runs", {**LINK, "Sec-Fetch-Site": "same-site"}),
        ("POST", "/graphql", JSON),
        ("POST", "/graphql", {"Content-Type": "Application/JSON; charset=utf-8"}),
        ("POST", "/graphql", {**JSON, "Origin": "OWN", "Sec-Fetch-Site": "same-origin"}),
        ("POST", "/graphql", {**JSON, "Origin": GATEWAY, "Sec-Fetch-Site": "same-origin"}),
        ("GET", "/download_debug/1", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}),
    ],
)
def test_the_ui_its_links_and_programs_pass(
    method: str, path: str, headers: dict[str, str], proxy: Caddy, behind: Behind
) -> None:
    headers = {name: value.replace("OWN", proxy.address) for name, value in headers.items()}
    behind.take()
    assert ask(proxy, method, path, headers) == 200
    assert behind.take() == [f"{method} {path}"]


FOREIGN = [
    {"Origin": EVIL},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    LINK,
]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/graphql", "/", "/anything"])
@pytest.mark.parametrize("content", [JSON, FORM, {"Content-Type": "text/plain; application/json"}, {}], ids=str)
@pytest.mark.parametrize("where_from", FOREIGN, ids=str)
def test_no_other_site_can_change_anything(
    method: str, path: str, content: dict[str, str], where_from: dict[str, str], proxy: Caddy, behind: Behind
) -> None:
    behind.take()
    assert ask(proxy, method, path, {**content, **where_from}) == 403
    assert behind.take() == []


ALMOST_OWN = [
    "OWN.evil.example", "OWN/", "OWN:80", "OWN0", "OWN ", "OWN@evil.example", "https://HOSTPORT", "HTTP://HOSTPORT", "HOSTPORT",
    "http://127.0.0.1", "http://localhost:PORT", "http://127.1:PORT", "http://evil.HOSTPORT", "http://user@HOSTPORT",
    "OWN,http://evil.example", "http://evil.example OWN", "http://[::1]:PORT", "*", "none", "null", "", "file://", "http://",
    f"{GATEWAY}.evil.example", f"{GATEWAY}:8443", f"{GATEWAY}/", "http://casebridge.uis.no", "https://uis.no",
    "https://evil.casebridge.uis.no", "https://CASEBRIDGE.uis.no", "https://casebridge.uis.no.", "chrome-extension://x",
]  # fmt: skip
"""Origins that look like the UI's own, with `OWN`, `HOSTPORT` and `PORT` for its address."""


@pytest.mark.parametrize("origin", ALMOST_OWN)
@pytest.mark.parametrize(
    "overridden", [{}, {"X-HTTP-Method-Override": "POST"}, {"X-Forwarded-Host": "evil.example"}], ids=str
)
def test_an_almost_equal_origin_is_refused(
    origin: str, overridden: dict[str, str], proxy: Caddy, behind: Behind
) -> None:
    for name, value in {"OWN": proxy.address, "HOSTPORT": f"127.0.0.1:{proxy.port}", "PORT": str(proxy.port)}.items():
        origin = origin.replace(name, value)
    behind.take()
    status = ask(proxy, "POST", "/graphql", {**JSON, **overridden, "Origin": origin.strip()})
    # HTTP says that blanks at the end of a header do not belong to it.
    assert status == (200 if origin.strip() == proxy.address else 403)
    assert len(behind.take()) == (status == 200)


@pytest.mark.parametrize("path", ["//graphql", "/graphql//", "/./graphql", "/x/../graphql", "/graphql;x", "/graphql%2f",
                                  "/graphql%00",
                                  "/%2567raphql", "/graphql?", "/gr%61phql/?query=mutation{x}"])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "headers", [{}, LINK, {"X-HTTP-Method-Override": "POST"}, {"X-Original-Method": "POST"}], ids=str
)
def test_no_spelling_of_the_address_reaches_graphql(
    path: str, method: str, headers: dict[str, str], proxy: Caddy, behind: Behind
) -> None:
    """The proxy lets these spellings through, but Dagster's router knows `/graphql` alone and does not run them."""
    behind.take()
    session = requests.Session()
    prepared = session.prepare_request(requests.Request(method, proxy.address, headers=headers, auth=LOGIN))
    prepared.url = proxy.address + path
    session.send(prepared, timeout=10)
    assert not {one for one in behind.take() if one.partition(" ")[2].rstrip("/").casefold() == "/graphql"}


@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/%67raphql", "/GraphQL", "/graphql?query={version}"])
@pytest.mark.parametrize("headers", [LINK, IMAGE, FRAME, {"Origin": EVIL}, {}, {"Sec-Fetch-Site": "none"}], ids=str)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_query_runs_from_an_address(
    method: str, headers: dict[str, str], path: str, proxy: Caddy, behind: Behind
) -> None:
    behind.take()
    assert ask(proxy, method, path, headers) in {403, 405}
    assert behind.take() == []


@pytest.mark.parametrize(
    "path", ["/runs", "/logs/a", "/notebook", "/dagit/notebook", "/download_debug/1", "/server_info"]
)
@pytest.mark.parametrize("headers", [IMAGE, FRAME, {"Origin": EVIL}], ids=str)
def test_no_other_site_can_read_answers(path: str, headers: dict[str, str], proxy: Caddy, behind: Behind) -> None:
    behind.take()
    assert ask(proxy, "GET", path, headers) == 403
    assert behind.take() == []


@pytest.mark.parametrize(
    "path", ["/logs/a", "/notebook", "/dagit/notebook", "/download_debug/1", "/graphql", "/server_info"]
)
def test_a_link_from_elsewhere_opens_pages_only(path: str, proxy: Caddy, behind: Behind) -> None:
    behind.take()
    assert ask(proxy, "GET", path, LINK) in {403, 405}
    assert behind.take() == []


@pytest.mark.parametrize("content", [FORM, {}, {"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data"},
                                     {"Content-Type": "text/plain; application/json"}, {"Content-Type": "application/jsonp"},
                                     {"Content-Type": "application/graphql"}], ids=str)  # fmt: skip
def test_only_json_is_posted(content: dict[str, str], proxy: Caddy, behind: Behind) -> None:
    behind.take()
    assert ask(proxy, "POST", "/graphql", content, params={"query": "mutation{x}"}) == 415
    assert behind.take() == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECTED"])
def test_no_other_method_passes(method: str, proxy: Caddy, behind: Behind) -> None:
    behind.take()
    assert ask(proxy, method, "/runs", JSON) == 405
    assert behind.take() == []


@pytest.mark.parametrize("path", ["/", "/graphql", "/runs", "/server_info", "/report_asset_check/x"])
@pytest.mark.parametrize("auth", [None, ("operator", "guessed")], ids=["none", "wrong"])
def test_no_request_passes_without_a_login(
    auth: tuple[str, str] | None, path: str, proxy: Caddy, behind: Behind
) -> None:
    behind.take()
    assert ask(proxy, "POST", path, JSON, auth=auth) == 401
    assert behind.take() == []


@pytest.mark.parametrize("path", ["/report_asset_materialization/x", "//report_asset_check/x", "/REPORT_ASSET_CHECK/x",
                                  "/%72eport_asset_observation/x", "/report_asset%5fcheck/x"])  # fmt: skip
def test_no_report_passes_from_outside(path: str, proxy: Caddy, behind: Behind) -> None:
    behind.take()
    session = requests.Session()
    prepared = session.prepare_request(requests.Request("POST", proxy.address, json={}, auth=LOGIN))
    prepared.url = proxy.address + path
    assert session.send(prepared, timeout=10).status_code == 404
    assert behind.take() == []


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    def handle(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(handle, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.socket.getsockname()[1]


@pytest.fixture(scope="module")
def sockets(children: Children, echo: int, hashed: str) -> Caddy:
    return started(children, echo, hashed)


class TestWebSockets:
    def echoed(self, sockets: Caddy, origin: str | None, headers: dict[str, str]) -> str:
        login = requests.Request("GET", sockets.address, auth=LOGIN).prepare().headers["Authorization"]
        address = sockets.address.replace("http", "ws") + "/graphql"
        options: Any = {"origin": origin, "additional_headers": {"Authorization": login, **headers}, "proxy": None}
        with connect(address, **options) as connection:
            connection.send("hello")
            return str(connection.recv())

    def test_the_uis_own_and_a_programs_are_open(self, sockets: Caddy) -> None:
        assert self.echoed(sockets, sockets.address, {"Sec-Fetch-Site": "same-origin"}) == "hello"
        assert self.echoed(sockets, None, {}) == "hello"

    @pytest.mark.parametrize("origin", [EVIL, "null", "http://127.0.0.1", "http://127.0.0.1.evil.example"])
    def test_one_of_another_site_is_refused(self, origin: str, sockets: Caddy) -> None:
        with pytest.raises(InvalidStatus) as refused:
            self.echoed(sockets, origin, {})
        assert refused.value.response.status_code == 403


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = installed_chromium()
    if executable is None:
        required_in_ci("Chromium is not installed; make servers gets it where it can")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield opened
        opened.close()


class TestInABrowser:
    """What a real browser with the login sends for a page of another site. The test writes no header itself."""

    @pytest.fixture
    def page(self, browser: Browser, proxy: Caddy, behind: Behind) -> Iterator[Page]:
        """A page of another site, in the browser of an operator who has logged in."""
        context = browser.new_context(http_credentials={"username": LOGIN[0], "password": LOGIN[1]})
        opened = context.new_page()
        answered = opened.goto(f"{proxy.address}/runs")
        assert answered is not None
        assert answered.status == 200
        opened.goto(f"http://localhost:{behind.port}/")  # a different site than 127.0.0.1
        behind.take()
        yield opened
        context.close()

    def test_a_form_that_submits_itself_does_nothing(self, page: Page, proxy: Caddy, behind: Behind) -> None:
        with page.expect_response(lambda answer: "graphql" in answer.url) as answer:
            page.evaluate(
                """address => { const form = document.createElement("form"); form.method = "post";
                form.action = address + "/graphql?query=mutation{x}"; document.body.append(form); form.submit(); }""",
                proxy.address,
            )
        assert answer.value.status == 403
        assert behind.take() == []

    def test_a_link_opens_the_page(self, page: Page, proxy: Caddy, behind: Behind) -> None:
        page.evaluate(
            """address => { const link = document.createElement("a"); link.href = address + "/runs";
            link.id = "link"; link.textContent = "runs"; document.body.append(link); }""",
            proxy.address,
        )
        with page.expect_navigation() as navigation:
            page.click("#link")
        assert navigation.value.status == 200
        assert behind.take()[0] == "GET /runs"

    @pytest.mark.parametrize("what", ["img", "iframe", "script"])
    def test_nothing_is_embedded(self, what: str, page: Page, proxy: Caddy, behind: Behind) -> None:
        with page.expect_response(lambda answer: answer.url.startswith(proxy.address)) as answer:
            page.evaluate(
                """([what, address]) => { const part = document.createElement(what); part.src = address;
                document.body.append(part); }""",
                [what, f"{proxy.address}/graphql?query={{version}}" if what == "img" else f"{proxy.address}/runs"],
            )
        # 401 if the browser does not even send the login
        assert answer.value.status in {401, 403, 405}
        assert behind.take() == []

    def test_a_script_posts_nothing(self, page: Page, proxy: Caddy, behind: Behind) -> None:
        with pytest.raises(Error):
            page.evaluate(
                """address => fetch(address + "/graphql", {method: "POST", credentials: "include", body: "{}",
                headers: {"Content-Type": "application/json"}})""",
                proxy.address,
            )
        assert behind.take() == []
