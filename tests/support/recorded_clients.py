"""Our clients connected to the simulators. Every exchange with WISEflow is recorded."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

from casebridge.institutions.institution import Institution
from casebridge.secrets import Secrets
from casebridge.settings import FsSettings, HttpSettings, WiseflowSettings
from demo.institutions import configuration, secrets
from resources.fs.client import FsDigexClient
from resources.http.client import HttpAnswer, HttpCall, HttpClient
from resources.wiseflow.client import WiseflowClient
from resources.wiseflow.exam_system import WiseflowExamSystem
from simulators.process import RunningSimulators
from tests.support.openapi import OpenApiContract

UNDECLARED = ("justification",)
"""WISEflow may send this though its description does not name it (contract 4.8)."""


class RecordingHttpClient(HttpClient):
    """The real client, which also keeps each request and answer."""

    exchanges: list[tuple[requests.PreparedRequest, HttpAnswer]]

    def _read(self, call: HttpCall, response: requests.Response) -> HttpAnswer:
        answer = super()._read(call, response)
        self.__dict__.setdefault("exchanges", []).append((response.request, answer))
        return answer

    def paths(self) -> list[str]:
        return [f"{request.method} {urlsplit(request.url or '').path}" for request, _ in self.exchanges]


def check_exchanges(http: RecordingHttpClient, contract: OpenApiContract) -> int:
    """Check every recorded request and answer against the description. Returns how many it describes."""
    described = 0
    for request, answer in http.exchanges:
        url = urlsplit(request.url or "")
        assert request.method
        assert request.headers["X-Client-Name"] == "casebridge-test"
        if contract.describes(request.method, url.path):
            sent = request.body if isinstance(request.body, bytes | str) else None
            contract.check_request(request.method, url.path, dict(parse_qsl(url.query)), dict(request.headers), sent)
            contract.check_response(
                request.method, url.path, answer.status, answer.headers, answer.body, undeclared=UNDECLARED
            )
            described += 1
    return described


@dataclass
class SimulatedWorld:
    """A population of the simulators, configured as in an installation."""

    simulators: RunningSimulators
    population: dict[str, Any]
    http_settings: HttpSettings = field(default_factory=lambda: HttpSettings(read_seconds=10.0, total_seconds=10.0))
    opened: list[HttpClient] = field(default_factory=list)

    @property
    def secrets(self) -> Secrets:
        return Secrets(secrets(self.population))

    def institutions(self) -> list[Institution]:
        orgs, environments = configuration(self.population, self.simulators.addresses)
        by_org = {environment["orgId"]: environment for environment in environments}
        return [Institution.model_validate({**by_org[org["orgId"]], **org}) for org in orgs]

    def institution(self, **choices: str) -> Institution:
        """The first institution whose WISEflow licence has these choices."""
        for institution in self.institutions():
            if institution.wiseflow and all(getattr(institution.wiseflow, name) == choices[name] for name in choices):
                return institution
        raise LookupError(choices)

    def add_request(self, institution: Institution, **order: Any) -> dict[str, Any]:
        return self.simulators.control.add_request(institution.org_id, **order)

    def wiseflow(self, institution: Institution, **settings: Any) -> WiseflowClient:
        access = institution.wiseflow
        assert access is not None
        http = RecordingHttpClient(
            "WISEflow", access.base_url, self.http_settings, headers={"X-Client-Name": "casebridge-test"}
        )
        http.exchanges = []
        self.opened.append(http)
        return WiseflowClient(access, self.secrets, WiseflowSettings(**settings), http)

    def registry(self, institution: Institution, **settings: Any) -> FsDigexClient:
        client = FsDigexClient(institution, self.secrets, FsSettings(**settings), self.http_settings)
        self.opened.append(client.http)
        return client

    def exam_system(self, institution: Institution, **settings: Any) -> WiseflowExamSystem:
        assert institution.wiseflow is not None
        return WiseflowExamSystem(institution.wiseflow, self.wiseflow(institution, **settings))

    def close(self) -> None:
        self.simulators.control.clear_faults()
        for http in self.opened:
            http.close()


def recorded(client: WiseflowClient) -> RecordingHttpClient:
    assert isinstance(client.http, RecordingHttpClient)
    return client.http
