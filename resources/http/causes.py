"""Why a call over HTTP had no answer: a code for each cause, and what to do about it.

- Some causes need a person: an address, a certificate, a proxy. They have the same result as refused credentials: the
  institution is paused, its messages wait without losing attempts, and it goes on by itself once the cause is gone.
- Causes that pass by themselves are transient: the call is tried again.
"""

import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import InvalidURL as InvalidURLOfPython
from typing import Final

import requests
import urllib3.exceptions

from casebridge.errors import AuthBrokenError, CaseError, PermanentError, TransientError

ADDRESSES: Final = {
    "FS": "`digex.baseUrl` in configDB.orgs",
    "WISEflow": "`wiseflow.baseUrl` in configDB.orgs",
    "LaaS": "CASEBRIDGE_LAAS__URL",
}
"""The setting or field that has the address of a system."""
TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})")
OTHER_NAME: Final = frozenset({62, 64})
"""OpenSSL's numbers for a certificate of another host or address."""
OUT_OF_DATE: Final = frozenset({9, 10})
"""OpenSSL's numbers for a certificate that is not valid yet, or has expired."""
NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "HTTPS_PROXY_REQUEST"})
UNKNOWN_NAME: Final = frozenset({socket.EAI_NONAME, socket.EAI_FAIL, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
PLAIN_HTTP: Final = (b"plain HTTP", b"HTTP request was sent to HTTPS port", b"requires TLS")
"""Texts in the answer 400 of servers that get plain HTTP on a port for TLS."""
PROXY: Final = "HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the process"


@dataclass(frozen=True)
class Cause:
    """`what` follows the name of the call in a sentence. An entry of `ADDRESSES` replaces `{address}` in `next_action`."""

    code: str
    kind: type[CaseError]
    what: str
    next_action: str


CERTIFICATE_UNTRUSTED: Final = Cause(
    "certificate_untrusted",
    AuthBrokenError,
    "showed a certificate whose authority is not trusted",
    "Set CASEBRIDGE_HTTP__CA_FILE to a PEM file with the authority of {system}, or have {system} show its whole chain",
)
CERTIFICATE_NAME: Final = Cause(
    "certificate_of_another_name",
    AuthBrokenError,
    "showed a certificate that is for another name",
    "Correct the host name in {address}, or have the certificate of {system} renewed with that name",
)
CERTIFICATE_OUT_OF_DATE: Final = Cause(
    "certificate_out_of_date",
    AuthBrokenError,
    "showed a certificate that is not valid yet, or no longer",
    "Have the certificate of {system} renewed, and see that the clock of this host is right",
)
CA_FILE: Final = Cause(
    "ca_file_unreadable",
    AuthBrokenError,
    "was not called: the file with the trusted authorities is not there, or is no PEM",
    "Correct CASEBRIDGE_HTTP__CA_FILE (or REQUESTS_CA_BUNDLE), or the file, and start the process again",
)
SCHEME_WRONG: Final = Cause(
    "scheme_wrong",
    AuthBrokenError,
    "does not speak as the address says: TLS where it begins with http, or plain HTTP where it begins with https",
    "Correct the scheme or the port in {address}",
)
TLS_FAILED: Final = Cause(
    "tls_failed",
    AuthBrokenError,
    "could not agree on TLS with us: its version, its ciphers, or a certificate of ours that it wants",
    "Ask the support of {system} what it demands of TLS, and see that {address} is right",
)
ADDRESS_INVALID: Final = Cause(
    "address_invalid",
    AuthBrokenError,
    "was not called: its address is not valid",
    "Correct {address}: it begins with https:// and a host name",
)
NAME_UNKNOWN: Final = Cause(
    "name_unknown",
    AuthBrokenError,
    "was not called: nobody knows the host name of its address",
    "Correct the host name in {address}, or see that the name server of this host knows it",
)
PROXY_REFUSED: Final = Cause(
    "proxy_refused",
    AuthBrokenError,
    "was not called: the proxy refuses to lead there, or its own address is not valid",
    f"Correct {PROXY}, with user and password where the proxy wants them, and start it again",
)
PROXY_UNREACHABLE: Final = Cause(
    "proxy_unreachable",
    TransientError,
    "was not called: the proxy does not answer, or does not reach it",
    f"It is tried again; if it lasts, see that the proxy runs, and that {PROXY} name it",
)
HEADER_INVALID: Final = Cause(
    "header_invalid",
    AuthBrokenError,
    "was not called: a credential, or the client's name, has characters that no header may have",
    "Correct the variables of the credential that `credentialRef` in configDB.orgs names (no line break or blank, Latin "
    "letters), or CASEBRIDGE_WISEFLOW__CLIENT_NAME, and start the process again",
)
UNSENDABLE: Final = Cause(
    "call_unsendable",
    PermanentError,
    "was not called: a value of this case cannot be written into a call",
    "Have the exam's key and the candidate corrected in FS",
)
MOVED: Final = Cause(
    "moved",
    AuthBrokenError,
    "says that it has moved to another address",
    "Correct {address}: scheme, host and path, as the support of {system} names them",
)
UNREACHABLE: Final = Cause(
    "unreachable",
    TransientError,
    "could not be reached",
    "It is tried again; if it lasts, check the network, {address}, and whether {system} is up",
)
TIMEOUT: Final = Cause(
    "timeout",
    TransientError,
    "took longer than a call may take",
    "It is tried again; if it lasts, check the network and whether {system} is up",
)
REDIRECTED: Final = Cause(
    "redirected",
    TransientError,
    "points to another address",
    "It is tried again; if it lasts, correct {address}",
)
CONNECTION_LOST: Final = Cause(
    "connection_lost",
    TransientError,
    "lost the connection before the whole answer was there",
    "It is tried again; if it lasts, check the network, scheme and port of {address}, and whether {system} is up",
)
CAUSES: Final = (
    CERTIFICATE_UNTRUSTED, CERTIFICATE_NAME, CERTIFICATE_OUT_OF_DATE, CA_FILE, SCHEME_WRONG, TLS_FAILED, ADDRESS_INVALID,
    NAME_UNKNOWN, PROXY_REFUSED, PROXY_UNREACHABLE, HEADER_INVALID, UNSENDABLE, MOVED, UNREACHABLE, TIMEOUT, REDIRECTED,
    CONNECTION_LOST,
)  # fmt: skip


def cause_of(error: BaseException) -> Cause:
    """The cause of an error. `requests` wraps urllib3's errors, which wrap the socket's, so the whole chain is searched."""
    chain = list(_chain(error))
    if matched := _of_proxy(chain) or _of_tls(chain) or _of_name(chain):
        return matched
    for link in chain:
        if matched := _of_one(link):
            return matched
    return CONNECTION_LOST


def speaks_tls(body: bytes) -> bool:
    """Whether the body of an answer 400 says that the port expects TLS and got plain HTTP."""
    return any(words in body for words in PLAIN_HTTP)


def error_of(cause: Cause, system: str, call: str, detail: str = "") -> CaseError:
    """The error of a cause. `call` is like `WISEflow GET /flows`; `detail` is a word of ours, never a text from outside."""
    address = ADDRESSES.get(system, f"the address of {system}")
    return cause.kind(
        f"{system.lower()}.{cause.code}",
        f"{call} {cause.what}{f' ({detail})' if detail else ''}.",
        cause.next_action.format(system=system, address=address) + ".",
        system=system,
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all errors that it was raised from or contains, the outermost first."""
    waiting, seen = [error], set[int]()
    while waiting:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inside = [*link.args, getattr(link, "reason", None), link.__cause__, link.__context__]
        waiting += [one for one in inside if isinstance(one, BaseException)]


def _of_proxy(chain: list[BaseException]) -> Cause | None:
    if any(isinstance(link, requests.exceptions.InvalidProxyURL) for link in chain):
        return PROXY_REFUSED
    # urllib3's error for a proxy address that it cannot use
    if any(isinstance(link, urllib3.exceptions.ProxySchemeUnknown) for link in chain):
        return PROXY_REFUSED
    if not any(isinstance(link, requests.exceptions.ProxyError | urllib3.exceptions.ProxyError) for link in chain):
        return None
    statuses = [int(found[1]) for link in chain if type(link) is OSError and (found := TUNNEL.search(str(link)))]
    return PROXY_REFUSED if any(status < 500 for status in statuses) else PROXY_UNREACHABLE


def _of_tls(chain: list[BaseException]) -> Cause | None:
    for link in chain:
        if isinstance(link, ssl.SSLCertVerificationError):
            number = getattr(link, "verify_code", None)
            return (
                CERTIFICATE_NAME
                if number in OTHER_NAME
                else CERTIFICATE_OUT_OF_DATE
                if number in OUT_OF_DATE
                else CERTIFICATE_UNTRUSTED
            )
    for link in chain:
        if isinstance(link, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
            return CONNECTION_LOST
        if isinstance(link, ssl.SSLError):
            return _of_openssl(link)
    return None


def _of_openssl(error: ssl.SSLError) -> Cause:
    if getattr(error, "reason", None) in NO_TLS:
        return SCHEME_WRONG
    # Errors of our own CA file come from OpenSSL's X509 and PEM libraries, not from its SSL library.
    return CA_FILE if getattr(error, "library", None) in {"X509", "PEM"} else TLS_FAILED


def _of_name(chain: list[BaseException]) -> Cause | None:
    """The cause of a failed name lookup. For urllib3 it is a failed connection, but the lookup's error number is more exact."""
    for link in chain:
        if isinstance(link, socket.gaierror):
            return NAME_UNKNOWN if link.errno in UNKNOWN_NAME else UNREACHABLE
    return None


def _of_one(error: BaseException) -> Cause | None:
    if isinstance(error, UnicodeEncodeError):
        return HEADER_INVALID if error.encoding in {"latin-1", "ascii", "iso-8859-1"} else UNSENDABLE
    if type(error) is ValueError and str(error).startswith("Invalid header"):
        return HEADER_INVALID  # raised by Python for a header that `requests` does not check
    # Python's own OSErrors have a number. The one that `requests` raises for a missing CA file has none.
    if type(error) is OSError and error.errno is None and "CA certificate bundle" in str(error):
        return CA_FILE
    return next((cause for kinds, cause in KINDS if isinstance(error, kinds)), None)


KINDS: Final[tuple[tuple[tuple[type[BaseException], ...], Cause], ...]] = (
    (
        (
            requests.exceptions.MissingSchema,
            requests.exceptions.InvalidSchema,
            requests.exceptions.InvalidURL,
            urllib3.exceptions.LocationValueError,
            InvalidURLOfPython,
        ),
        ADDRESS_INVALID,
    ),
    ((requests.exceptions.InvalidHeader,), HEADER_INVALID),
    ((requests.exceptions.InvalidJSONError,), UNSENDABLE),
    ((requests.exceptions.TooManyRedirects,), REDIRECTED),
    ((requests.exceptions.SSLError, urllib3.exceptions.SSLError), TLS_FAILED),
    ((requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError), UNREACHABLE),
    ((urllib3.exceptions.NewConnectionError, ConnectionRefusedError), UNREACHABLE),
    ((requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError), TIMEOUT),
    ((FileNotFoundError, PermissionError), CA_FILE),
)
