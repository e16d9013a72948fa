"""Bare callers of the simulated systems, for the simulators' own tests.

They use the contracts and nothing of casebridge's clients, so that the simulators are tested by themselves. Every call to
WISEflow and every answer is checked against the vendor's description.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from simulators.process import RunningSimulators
from tests.support.openapi import OpenApiContract

TIMEOUT_S = 20.0


def session() -> requests.Session:
    """A session that ignores the machine's proxy settings."""
    made = requests.Session()
    made.trust_env = False
    return made


@dataclass
class WiseflowCaller:
    """One institution's access to WISEflow. Each exchange is checked against the description."""

    address: str
    institution: dict[str, Any]
    contract: OpenApiContract | None
    undeclared: tuple[str, ...] = ()
    http: requests.Session = field(default_factory=session)
    token: str | None = None

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: dict[str, str] | None = None,
        credentials: dict[str, str] | None = None,
        valid_request: bool = True,
        described: bool = True,
    ) -> requests.Response:
        """Call, and check the exchange.

        :param valid_request: False for a request that is wrong on purpose: then only the answer is checked
        :param described: False for an answer that the description does not have
        """
        headers = self.credentials() if credentials is None else credentials
        request = self.http.prepare_request(
            requests.Request(method, self.address + path, json=body, params=query, headers=headers)
        )
        response = self.http.send(request, timeout=TIMEOUT_S)
        if self.contract is not None and described:
            wire_path = urlsplit(request.url or "").path
            if valid_request:
                sent = request.body if isinstance(request.body, bytes | str) else None
                self.contract.check_request(method, wire_path, query or {}, dict(request.headers), sent)
            self.contract.check_response(
                method, wire_path, response.status_code, response.headers, response.content, undeclared=self.undeclared
            )
        assert response.headers["X-Trace-Id"]
        return response

    def credentials(self) -> dict[str, str]:
        wiseflow = self.institution["wiseflow"]
        if wiseflow["auth"] == "api_key":
            return {"x-api-key": wiseflow["api_key"]}
        if self.token is None:
            self.token = self.fetch_token().json()["access_token"]
        return {"Authorization": f"Bearer {self.token}"}

    def fetch_token(self, **changed: str) -> requests.Response:
        wiseflow = self.institution["wiseflow"]
        form = {
            "client_id": wiseflow["client_id"],
            "client_secret": wiseflow["client_secret"],
            "grant_type": "client_credentials",
        } | changed
        response = self.http.post(f"{self.address}/oauth2/token", data=form, timeout=TIMEOUT_S)
        if self.contract is not None:
            path = "/v1/oauth2/token"
            sent = response.request.body
            assert isinstance(sent, str)
            self.contract.check_request("POST", path, {}, dict(response.request.headers), sent)
            self.contract.check_response("POST", path, response.status_code, response.headers, response.content)
        return response

    def flows_of(self, source_code: str) -> list[int]:
        """The flow ids that the licence's search finds."""
        if self.institution["settings"]["flow_search"] == "sources":
            hits = self.call("POST", "/sources/search", {"sourceCode": source_code}).json()["data"]
            return [hit["flow"]["flowid"] for hit in hits]
        code = quote(base64.b64encode(source_code.encode()).decode(), safe="")
        return [hit["flowId"] for hit in self.call("GET", f"/license/sis/flows/{code}").json()]

    def participants(self, flow_id: int) -> list[dict[str, Any]]:
        """All participants, read page by page if the licence has pages."""
        if self.institution["settings"]["participants_endpoint"] == "old":
            rows: list[dict[str, Any]] = self.call("GET", f"/flow/{flow_id}/participants", described=False).json()[
                "data"
            ]
            return rows
        rows = []
        while True:
            page = self.call("GET", f"/flows/{flow_id}/participants", query={"offset": str(len(rows))}).json()
            rows += page["data"]
            if len(rows) >= page["pagination"]["total"]:
                return rows

    def find(self, source_code: str, row: dict[str, Any]) -> tuple[int, int] | None:
        """The flow and the participant of a row in FS, by the rules of contract 4.3. None unless there is exactly one."""
        feide = f"{row['brukernavn']}@{self.institution['orgId']}"
        found = []
        for hit in self.flows_of(source_code):
            flow = self.call("GET", f"/flow/{hit}").json()
            if flow["variant"] != 0 or flow["state"] < 3:
                continue
            for flow_id in flow["combinedSubFlowIds"] or [hit]:
                found += [
                    (flow_id, one["participantId"])
                    for one in self.participants(flow_id)
                    if feide in {name["value"] for name in one["user"]["externalIds"]}
                ]
        return found[0] if len(found) == 1 else None

    def request_explanation(self, flow_id: int, participant_id: int, *, show: bool = False) -> requests.Response:
        body = {"participantId": participant_id, "showJustification": show}
        return self.call("POST", f"/flow/{flow_id}/explanation/request", body)

    def explanation(self, flow_id: int, explanation_id: int) -> dict[str, Any]:
        answer: dict[str, Any] = self.call("GET", f"/flow/{flow_id}/explanation/request/{explanation_id}").json()
        return answer

    def answer_text(self, flow_id: int, explanation: dict[str, Any], submission_id: int) -> str:
        """The newest comment by the assigned assessor to exactly this participant (contract 4.8)."""
        comments = self.call("GET", f"/flows/{flow_id}/assessors/submission-comments").json()["data"]
        answers = [
            comment
            for comment in comments
            if comment["containerId"] == submission_id
            and comment["assessorId"] == explanation["assignedAssessor"]["assessorId"]
            and comment["shareType"] in {"PARTICIPANTS", "ALL"}
        ]
        newest: dict[str, Any] = max(answers, key=lambda comment: (comment["createdAt"], comment["id"]))
        content: str = newest["content"]
        return content


@dataclass
class FsCaller:
    """One institution's access to FS-Digex."""

    address: str
    institution: dict[str, Any]
    http: requests.Session = field(default_factory=session)

    def get(self, path: str, **query: str) -> requests.Response:
        return self.http.get(self.address + path, params=query, auth=self._auth(), timeout=TIMEOUT_S)

    def get_anonymously(self, path: str) -> requests.Response:
        return self.http.get(self.address + path, timeout=TIMEOUT_S)

    def changed_since(self, since: str = "2020-01-01T00:00:00") -> requests.Response:
        return self.get("/begrunnelse/WISEFLOW", institusjonsnr=str(self.institution["institusjonsnr"]), siden=since)

    def rows(self, exam_id: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.get(f"/begrunnelser/WISEFLOW/{exam_id}").json()["begrunnelser"]
        return rows

    def register(self, body: object) -> requests.Response:
        return self.http.post(f"{self.address}/begrunnelser/WISEFLOW", json=body, auth=self._auth(), timeout=TIMEOUT_S)

    def _auth(self) -> tuple[str, str]:
        fs = self.institution["fs"]
        return fs["username"], fs["password"]


def registration(exam_id: str, row: dict[str, Any], text: str, communicated: str = "2026-01-15") -> dict[str, Any]:
    """The body of a registration (contract 3.3)."""
    return {
        "examId": exam_id,
        "personlopenr": row["personlopenr"],
        "kandidatnr": row["kandidatnr"],
        "kommisjonsId": row["kommisjonsId"],
        "datoVedtakFormidlet": communicated,
        "begrunnelse": {"tekst": text, "sensor": "anonym", "format": "text/plain"},
    }


def fs_of(running: RunningSimulators, institution: dict[str, Any]) -> FsCaller:
    return FsCaller(running.addresses["fs"], institution)


def wiseflow_of(
    running: RunningSimulators, institution: dict[str, Any], contract: OpenApiContract | None = None
) -> WiseflowCaller:
    return WiseflowCaller(running.addresses["wiseflow"], institution, contract)
