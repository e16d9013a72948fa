"""Calls to outside systems over HTTP, with one client for each institution and system.

- This module has what all systems share: connections, timeouts, sizes, rates, and the error of `casebridge.errors` for each
  status.
- What a status means at one endpoint is in the caller's `refusals` table.
- Nothing is retried here: only messages are retried (design §3).
- Error messages name the system, method, path template, status, trace id and the vendor's error code. They never contain a
  body, a query or a value of the path.
"""

import json
import logging
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import quote

import requests
import urllib3.exceptions
from requests.auth import AuthBase

from casebridge.errors import (
    AuthBrokenError,
    CaseError,
    PermanentError,
    RateLimitedError,
    TransientError,
)
from casebridge.settings import HttpSettings
from casebridge.telemetry import observer
from casebridge.tenant import UNKNOWN
from casebridge.time_limit import seconds_left
from resources.http import causes as http_causes
from resources.http.call_limit import CallLimit
from resources.http.causes import Cause, cause_of
from resources.http.deadline import DeadlineAdapter, deadline
from resources.http.rate_limit import WAIT_AFTER_429, RateLimit, retry_after

logger = logging.getLogger(__name__)
# urllib3 logs whole addresses, with the values of path and query. Our own errors say what is needed.
logging.getLogger("urllib3").setLevel(logging.ERROR)

TRACE_HEADER: Final = "X-Trace-Id"
TRACE_ID: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Fa-f])[A-Fa-f0-9:-]{4,80}")
"""Trace ids are hexadecimal. A text with other letters, or with digits only, might be a person's name or number."""
LARGEST_ERROR_CODE: Final = 99_999
MAY_RAISE: Final = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    HTTPException,
    OSError,
    ValueError,
    Warning,
)
"""What `requests` and the libraries below it raise. An address, header or value that cannot be sent is a `ValueError`."""
MOVED: Final = frozenset({301, 308})
PASSING: Final = frozenset({408, 421, 423, 425, 499})
"""Statuses 4xx that may pass: too slow, sent on a wrong connection, locked, too early, closed by a proxy."""


class NoAuth(AuthBase):
    """No credentials. Without any `auth`, `requests` would take credentials from `~/.netrc` if it trusts the environment."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _Session(requests.Session):
    """A session that follows no redirect. To follow one, `requests` would first read its whole body, however large."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 for every answer
        return None


class HeaderAuth(AuthBase):
    """A credential in one header."""

    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers[self._name] = self._value
        return request


@dataclass(frozen=True)
class Refusal:
    """The error for a status at one endpoint. `code` follows the system's name: `fs.` + `exam_unknown`."""

    error: type[CaseError]
    code: str
    cause: str
    next_action: str


@dataclass(frozen=True)
class HttpCall:
    """One call. `template` is the path with names in braces, and `path` has their values. Only the template is ever shown."""

    method: str
    template: str
    path: Mapping[str, object] = field(default_factory=dict)
    query: Mapping[str, str | int] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    auth: AuthBase = field(default_factory=NoAuth)
    refusals: Mapping[int, Refusal] = field(default_factory=dict)
    returned: frozenset[int] = frozenset()
    """Statuses of failure that are returned to the caller instead of raised."""


@dataclass(frozen=True)
class HttpAnswer:
    """An answer with its whole body. `where` names the call in error messages."""

    system: str
    where: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as JSON. Raises `TransientError` if it is not JSON: then a gateway answered, not the system."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            kind = "an empty body" if not self.body.strip() else "a body that is not JSON"
            raise TransientError(
                f"{self.system.lower()}.body_not_json",
                f"{self.where} brought {kind}.",
                f"It is tried again; if it lasts, see which proxy or maintenance page stands in front of {self.system}.",
                system=self.system,
            ) from None

    def unreadable(self, what: str) -> TransientError:
        """The error for JSON in an unknown shape. `what` names fields, never values."""
        return TransientError(
            f"{self.system.lower()}.shape_unknown",
            f"{self.where} brought JSON in a shape that casebridge does not know: {what}.",
            f"It is tried again; if it lasts, compare with {self.system}'s release notes and ask its support.",
            system=self.system,
        )


class HttpClient:
    """Calls one system for one institution, from many threads.

    `requests.Session` is not guaranteed to be thread-safe, because answers change its cookies and settings. urllib3's connection
    pool is thread-safe. So each thread has a session of its own, and all sessions share one adapter with its pool.
    """

    def __init__(
        self,
        system: str,
        base_url: str,
        settings: HttpSettings,
        *,
        headers: Mapping[str, str] | None = None,
        rate_limit: RateLimit | None = None,
        call_limits: Sequence[CallLimit] = (),
        institution: str = UNKNOWN,
    ) -> None:
        """`institution` is the name under which metrics and traces show these calls."""
        self._system = system
        self._institution = institution
        self._base_url = base_url.rstrip("/")
        self._settings = settings
        self._headers = {"Accept": "application/json", "User-Agent": "casebridge", **(headers or {})}
        self._rate_limit = rate_limit
        self._call_limits = call_limits
        self._adapter = DeadlineAdapter(pool_connections=4, pool_maxsize=settings.connections)
        self._threads = threading.local()
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()

    @property
    def system(self) -> str:
        return self._system

    def send(self, call: HttpCall) -> HttpAnswer:
        """Send a call. Return the answer if it succeeded or its status is in `returned`; else raise from `casebridge.errors`."""
        with ExitStack() as places:
            for limit in self._call_limits:
                places.enter_context(limit.place())
            if self._rate_limit is not None:
                self._rate_limit.pass_gate()
            answer = self._exchange(call)
        self._count(call, str(answer.status))
        if self._rate_limit is not None:
            self._rate_limit.observe(answer.status, answer.headers)
        logger.debug("%s", answer.where)
        if 200 <= answer.status < 300 or answer.status in call.returned:
            return answer
        raise self.failure(call, answer)

    def call_counts(self) -> dict[str, int]:
        """Calls so far by method, path template and status (or `lost`), for audits and benchmarks."""
        with self._lock:
            return dict(self._calls)

    def close(self) -> None:
        """Close idle connections. Calls in progress are not interrupted."""
        self._adapter.close()

    def _exchange(self, call: HttpCall) -> HttpAnswer:
        observation = observer().call(self._system, self._institution, call.method, call.template)
        try:
            with deadline(seconds_left(self._settings.total_seconds)):
                answer = self._read(
                    call, self._session().request(**self._arguments(call), headers=observation.headers or None)
                )
        except MAY_RAISE as error:
            self._count(call, "lost")
            case_error = self._error_of(cause_of(error), call, type(error).__name__)
            observation.ended(case_error.code)
            raise case_error from None
        except CaseError as error:  # the answer is too large
            observation.ended(error.code)
            raise
        observation.ended(status=answer.status)
        return answer

    def _arguments(self, call: HttpCall) -> dict[str, Any]:
        settings = self._settings
        path = call.template.format_map({name: quote(str(value), safe="") for name, value in call.path.items()})
        return {
            "method": call.method,
            "url": self._base_url + path,
            "params": call.query or None,
            "json": call.json,
            "data": call.form,
            "auth": call.auth,
            "timeout": (
                seconds_left(settings.connect_seconds),
                seconds_left(min(settings.read_seconds, settings.total_seconds)),
            ),
            # A redirect leads to a log-in or maintenance page. The credentials must not be sent to another host.
            "allow_redirects": False,
            "stream": True,
        }

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._threads, "session", None)
        if session is None:
            session = self._with_environment(_Session())
            session.mount("http://", self._adapter)
            session.mount("https://", self._adapter)
            session.headers.update(self._headers)
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            self._threads.session = session
        return session

    def _with_environment(self, session: requests.Session) -> requests.Session:
        """The session with the proxies and certificate authorities of the environment.

        They are read once. `requests` would read all variables at each call, which took a fifth of our processor time.
        """
        try:
            environment = session.merge_environment_settings(self._base_url, {}, None, None, None)
        except ValueError as error:
            raise requests.exceptions.InvalidURL(request=None) from error
        session.trust_env = False
        session.proxies = environment["proxies"]
        # Without a file in our settings: the file of REQUESTS_CA_BUNDLE, else the usual authorities.
        session.verify = str(self._settings.ca_file or "") or environment["verify"]
        return session

    def _read(self, call: HttpCall, response: requests.Response) -> HttpAnswer:
        limit = self._settings.maximum_bytes
        try:
            body = response.raw.read(limit + 1, decode_content=True) or b""
        finally:
            response.close()
        answer = HttpAnswer(
            self._system, self._where(call, response, body), response.status_code, response.headers, body
        )
        if len(body) > limit:
            raise PermanentError(
                self._code("answer_too_large"),
                f"{answer.where} brought more than {limit} bytes.",
                "Find out what grew; if it is right, raise CASEBRIDGE_HTTP__MAXIMUM_BYTES and start the process again.",
                system=self._system,
            )
        return answer

    def _where(self, call: HttpCall, response: requests.Response, body: bytes) -> str:
        details = [f"status {response.status_code}"]
        trace_id = response.headers.get(TRACE_HEADER, "")
        if TRACE_ID.fullmatch(trace_id):
            details.append(f"trace id {trace_id}")
        error_code = None if response.ok else _error_code(body)
        if error_code is not None:
            details.append(f"error code {error_code}")
        return f"{self._system} {call.method} {call.template} ({', '.join(details)})"

    def failure(self, call: HttpCall, answer: HttpAnswer) -> CaseError:
        """The error of an answer without success. Callers use it for statuses that they had returned."""
        status = answer.status
        if status == 429:
            return RateLimitedError(
                self._code("rate_limited"),
                f"{answer.where} says that too many calls were made.",
                f"It is tried again at no cost when {self._system} allows it; if it lasts, ask its support for a higher rate.",
                system=self._system,
                retry_after=retry_after(answer.headers) or WAIT_AFTER_429,
            )
        if address_cause := self._of_address(answer):
            return http_causes.error_of(address_cause, self._system, answer.where)
        refusal = call.refusals.get(status)
        if refusal is not None:
            cause = f"{refusal.cause} {answer.where}."
            return refusal.error(self._code(refusal.code), cause, refusal.next_action, system=self._system)
        if status == 401:
            return AuthBrokenError(
                self._code("credentials_refused"),
                f"{answer.where} refused the institution's credentials.",
                f"Renew the institution's credentials for {self._system}; its messages wait and go on by themselves.",
                system=self._system,
            )
        return self._unexpected(answer)

    def _of_address(self, answer: HttpAnswer) -> Cause | None:
        """The cause if the status shows a wrong address or a problem on the way there; else None."""
        if 300 <= answer.status < 400:
            return http_causes.MOVED if answer.status in MOVED else http_causes.REDIRECTED
        if answer.status == 407:
            return http_causes.PROXY_REFUSED
        is_plain = self._base_url.lower().startswith("http://")
        if answer.status == 400 and is_plain and http_causes.speaks_tls(answer.body):
            return http_causes.SCHEME_WRONG
        return None

    def _unexpected(self, answer: HttpAnswer) -> CaseError:
        status = answer.status
        if status >= 500 or status in PASSING:
            return TransientError(
                self._code(f"http_{status}"),
                f"{answer.where} failed.",
                f"It is tried again; if it lasts, give the trace id to the support of {self._system}.",
                system=self._system,
                retry_after=retry_after(answer.headers),
            )
        return PermanentError(
            self._code(f"http_{status}"),
            f"{answer.where} refused the call.",
            f"Ask the support of {self._system} why, with the trace id, and have it put right.",
            system=self._system,
        )

    def _error_of(self, cause: Cause, call: HttpCall, detail: str) -> CaseError:
        return http_causes.error_of(cause, self._system, f"{self._system} {call.method} {call.template}", detail)

    def _code(self, code: str) -> str:
        return f"{self._system.lower()}.{code}"

    def _count(self, call: HttpCall, outcome: str) -> None:
        with self._lock:
            self._calls[f"{call.method} {call.template} {outcome}"] += 1


def _error_code(body: bytes) -> int | None:
    """The vendor's numeric error code of an enveloped error (contract 4.1)."""
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        return None
    error = envelope.get("error") if isinstance(envelope, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and abs(code) <= LARGEST_ERROR_CODE else None
