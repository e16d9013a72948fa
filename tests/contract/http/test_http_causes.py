"""A call without an answer raises an error with its cause and with what a person can do. No exception gets past this."""

import http.client
import inspect
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import requests
import urllib3.exceptions

from casebridge.errors import AuthBrokenError, CaseError, PermanentError, TransientError
from casebridge.settings import HttpSettings
from resources.http.causes import CAUSES, cause_of
from resources.http.client import HeaderAuth, HttpCall, HttpClient
from tests.support.certificates import CertificateFiles, make_certificate
from tests.support.scripted_server import Script, ScriptedServer, answer

CALL = HttpCall("GET", "/flows")
PLAIN_TO_TLS = b"<html><center>The plain HTTP request was sent to HTTPS port</center></html>"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def server_context(certificate: CertificateFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    return context


@contextmanager
def tls_server(context: ssl.SSLContext | None) -> Iterator[int]:
    """The port of a TLS server that answers every call with an empty object. Without a context it reads anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        wrapped = context.wrap_socket(connection, server_side=True) if context else connection
                        with wrapped as speaking:
                            speaking.recv(65536)
                            speaking.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def failure(address: str, *, call: HttpCall = CALL, system: str = "WISEflow", ca_file: object = None) -> CaseError:
    settings = HttpSettings(connect_seconds=2.0, read_seconds=2.0, ca_file=str(ca_file) if ca_file else None)
    client = HttpClient(system, address, settings)
    try:
        with pytest.raises(CaseError) as caught:
            client.send(call)
    finally:
        client.close()
    return caught.value


def test_a_certificate_of_our_own_authority_is_trusted_by_its_file(certificate: CertificateFiles) -> None:
    with tls_server(server_context(certificate)) as port:
        client = HttpClient("WISEflow", f"https://127.0.0.1:{port}", HttpSettings(ca_file=str(certificate.authority)))
        assert client.send(CALL).json() == {}
        client.close()


def test_an_untrusted_certificate(certificate: CertificateFiles) -> None:
    with tls_server(server_context(certificate)) as port:
        error = failure(f"https://127.0.0.1:{port}")
    assert (type(error), error.code) == (AuthBrokenError, "wiseflow.certificate_untrusted")
    assert "CASEBRIDGE_HTTP__CA_FILE" in error.next_action


def test_a_certificate_for_another_name(certificate: CertificateFiles) -> None:
    with tls_server(server_context(certificate)) as port:
        error = failure(f"https://localhost:{port}", ca_file=certificate.authority)
    assert (type(error), error.code) == (AuthBrokenError, "wiseflow.certificate_of_another_name")
    assert "wiseflow.baseUrl" in error.next_action


@pytest.mark.parametrize("content", [None, b"no certificate"], ids=["missing", "no PEM"])
def test_a_file_of_authorities_that_cannot_be_used(
    certificate: CertificateFiles, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_bytes(content)
    with tls_server(server_context(certificate)) as port:
        error = failure(f"https://127.0.0.1:{port}", ca_file=file)
    assert (type(error), error.code) == (AuthBrokenError, "wiseflow.ca_file_unreadable")


def test_https_where_plain_http_is_spoken() -> None:
    with tls_server(None) as port:
        error = failure(f"https://127.0.0.1:{port}")
    assert (type(error), error.code) == (AuthBrokenError, "wiseflow.scheme_wrong")


def test_plain_http_to_a_tls_port_of_a_web_server() -> None:
    with ScriptedServer(answer("400 Bad Request", PLAIN_TO_TLS)) as server:
        error = failure(server.address)
    assert (type(error), error.code) == (AuthBrokenError, "wiseflow.scheme_wrong")


def test_plain_http_to_a_tls_port_that_only_closes_names_scheme_and_port(certificate: CertificateFiles) -> None:
    with tls_server(server_context(certificate)) as port:
        error = failure(f"http://127.0.0.1:{port}")
    assert (type(error), error.code) == (TransientError, "wiseflow.connection_lost")
    assert "scheme and port of `wiseflow.baseUrl`" in error.next_action


def test_tls_that_cannot_be_agreed_on(certificate: CertificateFiles) -> None:
    context = server_context(certificate)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")
    with tls_server(context) as port:
        error = failure(f"https://127.0.0.1:{port}", ca_file=certificate.authority)
    assert (type(error), error.code) == (AuthBrokenError, "wiseflow.tls_failed")


@pytest.mark.parametrize(
    "address",
    [
        "", "wiseflow.example", "127.0.0.1:8080", "localhost:8080", "ftp://wiseflow.example", "http://", "https:///api",
        "http://a..b", f"http://{'a' * 70}.no", "http://wiseflow.example:99999", "http://[::1", "http://ex ample",
        "htps://wiseflow.example", "/api",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("system", "named"),
    [("FS", "`digex.baseUrl` in configDB.orgs"), ("WISEflow", "`wiseflow.baseUrl` in configDB.orgs")],
)
def test_an_address_that_is_not_valid(address: str, system: str, named: str) -> None:
    error = failure(address, system=system)
    assert (type(error), error.code) == (AuthBrokenError, f"{system.lower()}.address_invalid")
    assert named in error.next_action


def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    # the answer of a name server for an unknown name; the host of the tests may have no name server
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = failure("http://wiseflow.invalid")
    assert (type(error), error.code) == (AuthBrokenError, "wiseflow.name_unknown")


def test_a_name_server_that_is_away_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", away)
    error = failure("http://wiseflow.example")
    assert (type(error), error.code) == (TransientError, "wiseflow.unreachable")


@pytest.mark.parametrize(
    ("script", "kind", "code"),
    [
        (answer("407 Proxy Authentication Required"), AuthBrokenError, "wiseflow.proxy_refused"),
        (answer("403 Forbidden"), AuthBrokenError, "wiseflow.proxy_refused"),
        (answer("502 Bad Gateway"), TransientError, "wiseflow.proxy_unreachable"),
    ],
)
def test_a_proxy_that_cannot_reach_the_address(
    monkeypatch: pytest.MonkeyPatch, script: Script, kind: type[CaseError], code: str
) -> None:
    with ScriptedServer(script) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        error = failure("https://wiseflow.example")
    assert (type(error), error.code) == (kind, code)
    assert "HTTPS_PROXY" in error.next_action


def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(answer("200 OK")) as proxy:
        address = proxy.address
    monkeypatch.setenv("HTTPS_PROXY", address)
    error = failure("https://wiseflow.example")
    assert (type(error), error.code) == (TransientError, "wiseflow.proxy_unreachable")


def test_a_proxy_that_asks_for_a_password_on_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(answer("407 Proxy Authentication Required")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.address)
        assert failure("http://wiseflow.example").code == "wiseflow.proxy_refused"


@pytest.mark.parametrize("key", ["a\nb", "nøkkel-ł", "a\r\nHost: elsewhere"])
def test_a_credential_that_fits_into_no_header(key: str) -> None:
    with ScriptedServer(answer("200 OK", b"{}")) as server:
        error = failure(server.address, call=HttpCall("GET", "/flows", auth=HeaderAuth("x-api-key", key)))
    assert (type(error), error.code) == (AuthBrokenError, "wiseflow.header_invalid")
    assert key.strip() not in str(error)


def test_a_value_that_fits_into_no_address_affects_its_case_only() -> None:
    with ScriptedServer(answer("200 OK", b"{}")) as server:
        error = failure(server.address, call=HttpCall("GET", "/flows/{flow}", path={"flow": "\ud800"}))
    assert (type(error), error.code) == (PermanentError, "wiseflow.call_unsendable")


@pytest.mark.parametrize("status", ["301 Moved Permanently", "308 Permanent Redirect"])
def test_an_address_that_has_moved_for_good(status: str) -> None:
    with ScriptedServer(answer(status, b"", "Location: https://elsewhere.example/")) as server:
        error = failure(server.address)
    assert (type(error), error.code) == (AuthBrokenError, "wiseflow.moved")


# --- in general: whatever `requests` and its libraries can raise becomes an error with a cause and a next action


def raised_by(*modules: ModuleType) -> list[type[Exception]]:
    found = {
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ != "builtins" and not kind.__name__.startswith("_")
    }
    return sorted(found | descendants(OSError), key=lambda kind: f"{kind.__module__}.{kind.__qualname__}")


def descendants(kind: type[Exception]) -> set[type[Exception]]:
    """All subclasses that Python itself has. Other tests of the session may have made further ones of `OSError`."""
    own = [child for child in kind.__subclasses__() if child.__module__ in {"builtins", "ssl", "socket"}]
    return {kind} | {below for child in own for below in descendants(child)}


EXCEPTIONS = raised_by(requests.exceptions, urllib3.exceptions, ssl, http.client, socket)


def test_the_search_finds_exceptions() -> None:
    wanted: set[type[Exception]] = {
        requests.exceptions.InvalidSchema, urllib3.exceptions.LocationParseError, ssl.SSLCertVerificationError,
        http.client.InvalidURL, socket.gaierror, ConnectionResetError, urllib3.exceptions.InsecureRequestWarning,
    }  # fmt: skip
    assert wanted <= set(EXCEPTIONS)
    assert len(EXCEPTIONS) > 80


@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
def test_each_exception_becomes_an_error_with_something_to_do(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = kind.__new__(kind)  # each exception needs its own arguments
    error.args = ("https://user:secret@wiseflow.example/kari.n",)

    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(requests.Session, "request", fail)
    error_raised = failure("https://wiseflow.example")
    assert error_raised.code in {f"wiseflow.{cause.code}" for cause in CAUSES}
    assert type(error_raised) is cause_of(error).kind
    assert "kari.n" not in str(error_raised)
    assert "Nothing to do" not in error_raised.next_action
    assert "{" not in str(error_raised)
