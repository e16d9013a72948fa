"""What the HTTP client makes of each failure of a server or a network, on real connections."""

import gzip
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from casebridge.errors import (
    AuthBrokenError,
    CaseError,
    PermanentError,
    RateLimitedError,
    TransientError,
)
from casebridge.settings import HttpSettings
from resources.http.client import HeaderAuth, HttpCall, HttpClient, NoAuth, Refusal
from resources.http.rate_limit import RateLimit
from tests.support.scripted_server import Script, ScriptedServer, answer, cut, dripping, raw, silent

SECRET = "kari.n"
CALL = HttpCall("GET", "/exams/{exam_id}", path={"exam_id": SECRET}, query={"user": SECRET})


@pytest.fixture(autouse=True)
def _nothing_personal_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert SECRET not in caplog.text


def settings(**changes: float) -> HttpSettings:
    return HttpSettings(**{"connect_seconds": 2.0, "read_seconds": 1.0, "total_seconds": 1.0, **changes})


def client(server: ScriptedServer, **changes: float) -> HttpClient:
    return HttpClient("FS", server.address, settings(**changes))


def failure(*scripts: Script, call: HttpCall = CALL, **changes: float) -> CaseError:
    with ScriptedServer(*scripts) as server:
        http = client(server, **changes)
        with pytest.raises(CaseError) as caught:
            http.send(call).json()
        http.close()
    assert SECRET not in str(caught.value)
    assert caught.value.next_action
    assert caught.value.system == "FS"
    return caught.value


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (answer("200 OK"), "fs.body_not_json"),
        (answer("200 OK", b"   "), "fs.body_not_json"),
        (answer("200 OK", b"<html>sign in</html>", "Content-Type: text/html"), "fs.body_not_json"),
        (answer("200 OK", b'{"data": [', "Content-Type: application/json"), "fs.body_not_json"),
        (answer("200 OK", b"\xff\xfe\xfa"), "fs.body_not_json"),
        (answer("200 OK", b"[" * 100_000), "fs.body_not_json"),
        (answer("200 OK", b"not gzip", "Content-Encoding: gzip"), "fs.connection_lost"),
        (cut(b""), "fs.connection_lost"),
        (cut(b"HTTP/1.1 200 OK\r\nContent-Le"), "fs.body_not_json"),
        (cut(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a": 1}'), "fs.connection_lost"),
        (cut(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{"a": 1}\r\n'), "fs.connection_lost"),
        (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "fs.connection_lost"),
        (answer("500 Internal Server Error"), "fs.http_500"),
        (answer("503 Service Unavailable", b"<html>"), "fs.http_503"),
        (answer("408 Request Timeout"), "fs.http_408"),
        (answer("302 Found", b"", "Location: https://elsewhere.example/login"), "fs.redirected"),
        (answer("303 See Other", b"", "Location: http://["), "fs.redirected"),
        (answer("307 x", b"", "Location: \u00ff\u0080"), "fs.redirected"),
        (answer("302 Found", b"", "Location: /", "Location: /"), "fs.redirected"),
        (answer("421 Misdirected Request"), "fs.http_421"),
        (answer("423 Locked"), "fs.http_423"),
        (answer("425 Too Early"), "fs.http_425"),
        (answer("499 Client Closed Request"), "fs.http_499"),
        (answer("520 Unknown"), "fs.http_520"),
        (answer("599 Timeout"), "fs.http_599"),
        (answer("204 No Content"), "fs.body_not_json"),
        (answer("200 OK", b"{} trailing"), "fs.body_not_json"),
        (answer("200 OK", b"x" * 40, "Content-Encoding: gzip"), "fs.connection_lost"),
        (cut(b"<html>HTTP/0.9\r\n\r\n"), "fs.connection_lost"),
        (raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n"), "fs.connection_lost"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 2000 + b"\r\n"), "fs.connection_lost"),
        (cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}"), "fs.connection_lost"),
    ],
)
def test_failures_that_pass_by_themselves_are_transient(script: Script, code: str) -> None:
    error = failure(script)
    assert isinstance(error, TransientError)
    assert error.code == code


@pytest.mark.parametrize(
    ("script", "kind", "code"),
    [
        (answer("401 Unauthorized"), AuthBrokenError, "fs.credentials_refused"),
        (answer("400 Bad Request"), PermanentError, "fs.http_400"),
        (answer("404 Not Found", b"<html>"), PermanentError, "fs.http_404"),
        (answer("429 Too Many Requests"), RateLimitedError, "fs.rate_limited"),
    ],
)
def test_other_failures_are_not_transient(script: Script, kind: type[CaseError], code: str) -> None:
    error = failure(script)
    assert type(error) is kind
    assert error.code == code


@pytest.mark.parametrize(
    "script",
    [
        silent(),
        dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
        dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        dripping(b"HTTP/1.1 200 OK\r\n", b"X"),
        dripping(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    ],
    ids=["silent", "dripping body", "dripping chunks", "dripping header line", "dripping headers"],
)
def test_no_answer_takes_longer_than_the_total_time(script: Script) -> None:
    began = time.monotonic()
    # the total time is shorter than the longest silence: without a deadline the dripping answers would never end
    error = failure(script, total_seconds=0.4, read_seconds=60.0)
    assert error.code in {"fs.timeout", "fs.connection_lost"}  # http.client gives up by itself after 100 headers
    assert isinstance(error, TransientError)
    assert time.monotonic() - began < 30.0


def test_a_silence_ends_before_the_total_time() -> None:
    began = time.monotonic()
    assert failure(silent(), total_seconds=60.0, read_seconds=0.3).code == "fs.timeout"
    assert time.monotonic() - began < 30.0


def test_the_deadline_of_one_call_is_not_that_of_the_next_on_the_same_connection() -> None:
    with ScriptedServer(answer("200 OK", b"{}")) as server:
        http = client(server, total_seconds=2.0)
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            http.send(CALL).json()
        assert server.connections == 1
        http.close()


def test_an_address_where_nothing_listens() -> None:
    with ScriptedServer(silent()) as server:
        address = server.address
    http = HttpClient("FS", address, settings())
    with pytest.raises(TransientError) as caught:
        http.send(CALL)
    assert caught.value.code == "fs.unreachable"
    assert http.call_counts() == {"GET /exams/{exam_id} lost": 1}


def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    error = failure(dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096), maximum_bytes=10_000, total_seconds=10.0)
    assert isinstance(error, PermanentError)
    assert error.code == "fs.answer_too_large"


def test_a_small_answer_that_unpacks_to_a_large_one_is_too_large() -> None:
    body = gzip.compress(b"0" * 10_000_000)
    error = failure(answer("200 OK", body, "Content-Encoding: gzip"), maximum_bytes=100_000)
    assert error.code == "fs.answer_too_large"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["Retry-After: 7"], 7),
        (["Date: Sun, 22 Nov 2026 10:00:00 GMT", "Retry-After: Sun, 22 Nov 2026 10:00:20 GMT"], 20),
        (["RateLimit-Reset: 3"], 3),
        ([], 1),
        (["Retry-After: 1000000000000"], 86_400),
        (["Retry-After: 1e400"], 1),
        (["Retry-After: -5"], 1),
        (["Retry-After: soon"], 1),
        (["Retry-After: Mon, 99999999999999999999 Jan 2020 00:00:00 GMT"], 1),
        (["Retry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT"], 1),
        (["Retry-After: Mon, 01 Jan 2020 00:00:00 +99999999999999999999"], 1),
        (["Retry-After: Mon, 01 Jan 0001 00:00:00 +2359"], 1),
        (["Retry-After: Fri, 31 Dec 9999 23:59:59 -2359"], 1),
        (["Date: Fri, 31 Dec 9999 23:59:59 -2359", "Retry-After: Sun, 22 Nov 2026 10:00:20 GMT"], 1),
        (["RateLimit-Reset: nan"], 1),
    ],
)
def test_a_429_says_how_long_to_wait(headers: list[str], seconds: int) -> None:
    error = failure(answer("429 Too Many Requests", b"", *headers))
    assert error.retry_after == timedelta(seconds=seconds)


def test_a_503_may_say_how_long_to_wait() -> None:
    assert failure(answer("503 Busy", b"", "Retry-After: 30")).retry_after == timedelta(seconds=30)
    assert failure(answer("503 Busy")).retry_after is None


def test_the_table_of_the_caller_overrides_the_general_one() -> None:
    refusal = Refusal(PermanentError, "exam_unknown", "FS does not know the exam.", "Look it up.")
    call = HttpCall("GET", "/exams/{exam_id}", path={"exam_id": SECRET}, refusals={404: refusal})
    error = failure(answer("404 Not Found"), call=call)
    assert error.code == "fs.exam_unknown"
    assert error.cause == "FS does not know the exam. FS GET /exams/{exam_id} (status 404)."


def test_a_message_names_trace_id_and_error_code_and_nothing_of_the_body() -> None:
    body = b'{"success": false, "data": null, "error": {"code": 4711, "message": "kari.n unknown"}}'
    cause = failure(answer("400 Bad Request", body, "X-Trace-Id: 6f1c-22")).cause
    assert "trace id 6f1c-22" in cause
    assert "error code 4711" in cause
    assert "unknown" not in cause


def test_a_trace_id_of_unknown_form_is_not_quoted() -> None:
    assert "trace" not in failure(answer("500 x", b"", "X-Trace-Id: kari.n, 1042")).cause


def test_the_body_of_a_redirect_is_not_read_to_its_end() -> None:
    """The body has ten times the allowed size. The deadline would stop the read too late, and nothing else bounds memory."""
    body = b"x" * 1_000_000
    error = failure(answer("302 Found", body, "Location: /login"), maximum_bytes=100_000)
    assert error.code == "fs.answer_too_large"


def test_a_redirect_is_not_followed() -> None:
    with ScriptedServer(answer("200 OK", b"{}")) as elsewhere:
        error = failure(answer("307 Temporary Redirect", b"", f"Location: {elsewhere.address}/"))
        assert error.code == "fs.redirected"
        assert elsewhere.requests == []


def test_credentials_come_from_the_call_and_never_from_a_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", os.fspath(netrc))
    with ScriptedServer(answer("200 OK", b"{}")) as server:
        http = client(server)
        http.send(HttpCall("GET", "/", auth=NoAuth()))
        http.send(HttpCall("GET", "/", auth=HeaderAuth("x-api-key", "key")))
        http.close()
        assert all("authorization" not in request.lower() for request in server.requests)
        assert "x-api-key: key" in server.requests[1]


def test_cookies_are_not_kept() -> None:
    with ScriptedServer(answer("200 OK", b"{}", "Set-Cookie: node=1")) as server:
        http = client(server)
        http.send(CALL)
        http.send(CALL)
        http.close()
        assert all("cookie" not in request.lower() for request in server.requests)


def test_path_values_are_quoted() -> None:
    with ScriptedServer(answer("200 OK", b"{}")) as server:
        http = client(server)
        http.send(HttpCall("GET", "/a/{one}", path={"one": "x/../y?z=1#å+ "}))
        http.close()
        assert server.requests[0].startswith("GET /a/x%2F..%2Fy%3Fz%3D1%23%C3%A5%2B%20 HTTP/1.1")


def test_threads_share_connections_and_counts() -> None:
    with ScriptedServer(answer("200 OK", b'{"ok": true}')) as server:
        http = client(server, total_seconds=10.0, read_seconds=10.0)
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(lambda _: http.send(CALL).json()["ok"], range(100)))
        assert http.call_counts() == {"GET /exams/{exam_id} 200": 100}
        assert server.connections <= 4
        http.close()


def test_a_lost_connection_does_not_spoil_the_next_call() -> None:
    with ScriptedServer(cut(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), answer("200 OK", b"{}")) as server:
        http = client(server)
        with pytest.raises(TransientError):
            http.send(CALL)
        assert http.send(CALL).json() == {}
        http.close()


def test_a_429_makes_every_thread_of_the_credential_wait() -> None:
    with ScriptedServer(answer("429 Too Many Requests", b"", "Retry-After: 30")) as server:
        rate_limit = RateLimit("FS", [])
        http = HttpClient("FS", server.address, settings(), rate_limit=rate_limit)
        for _ in range(3):
            with pytest.raises(RateLimitedError) as caught:
                http.send(CALL)
            assert caught.value.retry_after is not None
            assert timedelta(seconds=20) < caught.value.retry_after <= timedelta(seconds=30)
        assert len(server.requests) == 1
        http.close()


def test_threads_of_one_client_do_not_disturb_each_others_deadlines() -> None:
    slow_started = threading.Event()

    def drip(connection: socket.socket, closing: threading.Event) -> None:
        slow_started.set()
        dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" ")(connection, closing)

    with ScriptedServer(drip, answer("200 OK", b"{}")) as server:
        http = client(server, total_seconds=1.0, read_seconds=1.0)
        with ThreadPoolExecutor(2) as pool:
            slow = pool.submit(http.send, CALL)
            assert slow_started.wait(5)
            for _ in range(20):
                assert http.send(CALL).json() == {}
            error = slow.exception(5)
        assert isinstance(error, TransientError)
        http.close()
