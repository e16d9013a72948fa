"""The simulated WISEflow. Every answer is checked against the vendor's description 1.34.0."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from simulators.process import RunningSimulators, running
from tests.support.openapi import OpenApiContract, wiseflow_contract
from tests.support.simulator_callers import WiseflowCaller, fs_of, wiseflow_of

pytestmark = pytest.mark.contract

UNKNOWN_ID = 999_999_999


@pytest.fixture(scope="module")
def contract() -> OpenApiContract:
    return wiseflow_contract()


@pytest.fixture(scope="module")
def simulators() -> Iterator[RunningSimulators]:
    with running(seed=11) as started:
        yield started


@pytest.fixture
def world(simulators: RunningSimulators) -> dict[str, Any]:
    simulators.control.modes(
        justification="comment", comment_format="plain", patch_data="array", sis_flows_shape="list"
    )
    simulators.control.assessors(minimum_delay_s=0, maximum_delay_s=0, paused=False)
    return simulators.control.population(institutions=12, courses=24, requests=96, seed=11, hold=False)


def caller(
    simulators: RunningSimulators, world: dict[str, Any], contract: OpenApiContract, **settings: str
) -> WiseflowCaller:
    """A caller of the first institution with these settings."""
    for institution in world["institutions"]:
        if all(institution["settings"][name] == value for name, value in settings.items()):
            return wiseflow_of(simulators, institution, contract)
    raise LookupError(settings)


def added(simulators: RunningSimulators, wiseflow: WiseflowCaller, **order: Any) -> dict[str, Any]:
    return simulators.control.add_request(wiseflow.institution["orgId"], **order)


@pytest.fixture
def wiseflow(simulators: RunningSimulators, world: dict[str, Any], contract: OpenApiContract) -> WiseflowCaller:
    return caller(simulators, world, contract)


@pytest.fixture
def case(simulators: RunningSimulators, wiseflow: WiseflowCaller) -> dict[str, Any]:
    return added(simulators, wiseflow)


def source_code(exam_id: str) -> str:
    return base64.urlsafe_b64decode(exam_id + "=" * (-len(exam_id) % 4)).decode()


class TestAccess:
    def test_token_is_issued_for_the_clients_credentials(self, wiseflow: WiseflowCaller) -> None:
        answer = wiseflow.fetch_token()
        assert answer.status_code == 200
        assert answer.json()["expires_in"] == 3599

    @pytest.mark.parametrize("changed", [{"client_secret": "wrong"}, {"grant_type": "password"}])
    def test_wrong_credentials_give_400(self, wiseflow: WiseflowCaller, changed: dict[str, str]) -> None:
        assert wiseflow.fetch_token(**changed).status_code == 400

    def test_unknown_token_gives_401_without_a_body_at_an_old_endpoint(
        self, wiseflow: WiseflowCaller, case: dict[str, Any]
    ) -> None:
        answer = wiseflow.call("GET", f"/flow/{case['flowId']}", credentials={"Authorization": "Bearer none"})
        assert (answer.status_code, answer.content) == (401, b"")

    def test_expired_tokens_are_refused_and_a_new_one_is_taken(
        self, simulators: RunningSimulators, wiseflow: WiseflowCaller, case: dict[str, Any]
    ) -> None:
        path = f"/flow/{case['flowId']}"
        assert wiseflow.call("GET", path).status_code == 200
        simulators.control.expire_tokens()
        assert wiseflow.call("GET", path).status_code == 401
        wiseflow.token = None
        assert wiseflow.call("GET", path).status_code == 200

    def test_a_static_key_works_for_the_licence_that_has_one(
        self, simulators: RunningSimulators, world: dict[str, Any], contract: OpenApiContract
    ) -> None:
        institution = next(one for one in world["institutions"] if one["wiseflow"]["auth"] == "api_key")
        keyed = wiseflow_of(simulators, institution, contract)
        flow_id = added(simulators, keyed)["flowId"]
        assert keyed.call("GET", f"/flow/{flow_id}").status_code == 200
        assert keyed.call("GET", f"/flow/{flow_id}", credentials={"x-api-key": "wrong"}).status_code == 401

    def test_a_licence_sees_no_flow_of_another(
        self, simulators: RunningSimulators, world: dict[str, Any], contract: OpenApiContract, case: dict[str, Any]
    ) -> None:
        other = wiseflow_of(simulators, world["institutions"][3], contract)
        flow_id = case["flowId"]
        paths = (f"/flow/{flow_id}", f"/flows/{flow_id}/participants", f"/flow/{flow_id}/explanation/request")
        assert [other.call("GET", path).status_code for path in paths] == [404, 404, 404]
        assert other.flows_of(source_code(case["examId"])) == []

    def test_every_answer_has_rate_limit_headers(self, wiseflow: WiseflowCaller) -> None:
        headers = wiseflow.call("GET", f"/flow/{UNKNOWN_ID}").headers
        assert headers["X-RateLimit-Second-Limit"] == "200"
        assert headers["X-RateLimit-Minute-Limit"] == "5000"
        assert int(headers["RateLimit-Remaining"]) < int(headers["RateLimit-Limit"])


class TestFindingTheFlow:
    def test_search_finds_by_the_whole_code_and_by_wildcards(
        self, wiseflow: WiseflowCaller, case: dict[str, Any]
    ) -> None:
        code = source_code(case["examId"])
        parts = code.split("||")
        assert wiseflow.flows_of(code) == [case["flowId"]]
        assert case["flowId"] in wiseflow.flows_of("||".join([parts[0], parts[1], "*", "*", "*", "*"]))
        assert wiseflow.flows_of("||".join([parts[0], "NONE999", "*", "*", "*", "*"])) == []

    def test_search_can_be_limited_to_a_flow(self, wiseflow: WiseflowCaller, case: dict[str, Any]) -> None:
        body = {"sourceCode": source_code(case["examId"]), "flowId": UNKNOWN_ID}
        assert wiseflow.call("POST", "/sources/search", body).json()["data"] == []

    @pytest.mark.parametrize(
        ("body", "query"),
        [
            ({"sourceCode": "1||S||*"}, {}),
            ({}, {}),
            ({"sourceCode": "901||*", "flowId": "x"}, {}),
            ({"sourceCode": "901||*"}, {"limit": "101"}),
        ],
    )
    def test_search_refuses_an_invalid_query(
        self, wiseflow: WiseflowCaller, body: dict[str, Any], query: dict[str, str]
    ) -> None:
        answer = wiseflow.call("POST", "/sources/search", body, query=query, valid_request=False)
        assert answer.status_code == 400
        assert answer.json()["success"] is False

    def test_the_deprecated_search_serves_the_licence_that_lacks_the_new_one(
        self, simulators: RunningSimulators, world: dict[str, Any], contract: OpenApiContract
    ) -> None:
        old = caller(simulators, world, contract, flow_search="sis_flows")
        case = added(simulators, old)
        code = source_code(case["examId"])
        missing = old.call("POST", "/sources/search", {"sourceCode": code}, described=False)
        assert (missing.status_code, missing.content) == (404, b"")
        assert old.flows_of(code) == [case["flowId"]]

    def test_the_deprecated_search_can_answer_one_object(
        self, simulators: RunningSimulators, wiseflow: WiseflowCaller, case: dict[str, Any]
    ) -> None:
        simulators.control.modes(sis_flows_shape="object")
        code = quote(base64.b64encode(source_code(case["examId"]).encode()).decode(), safe="")
        assert wiseflow.call("GET", f"/license/sis/flows/{code}").json()["flowId"] == case["flowId"]

    def test_flow_and_sources(self, wiseflow: WiseflowCaller, case: dict[str, Any]) -> None:
        flow = wiseflow.call("GET", f"/flow/{case['flowId']}").json()
        sources = wiseflow.call("GET", f"/flows/{case['flowId']}/sources").json()["data"]
        assert flow["sisInformation"] == [{"code": source_code(case["examId"])}]
        assert [source["code"] for source in sources] == [source_code(case["examId"])]

    def test_unknown_flow_is_404_at_both_generations(self, wiseflow: WiseflowCaller) -> None:
        old = wiseflow.call("GET", f"/flow/{UNKNOWN_ID}")
        new = wiseflow.call("GET", f"/flows/{UNKNOWN_ID}/sources")
        assert (old.status_code, old.content) == (404, b"")
        assert (new.status_code, new.json()["error"]["code"]) == (404, 404)

    def test_every_case_that_is_to_be_registered_can_be_found_and_no_other(
        self, simulators: RunningSimulators, world: dict[str, Any], contract: OpenApiContract
    ) -> None:
        """Combined flows, decoys, both searches and both participant endpoints, over a whole population."""
        callers = {one["orgId"]: wiseflow_of(simulators, one, contract) for one in world["institutions"]}
        names = {row["personlopenr"]: row for row in simulators.control.cases()}
        assert len(names) > 50
        wrong = []
        for row in simulators.control.cases():
            found = callers[row["orgId"]].find(row["sourceCode"], brukernavn_of(simulators, world, row))
            expected = row["participantId"] if row["expected"] in {"registered", "explanations_off"} else None
            if (found[1] if found else None) != expected:
                wrong.append((row["oddity"], row["expected"]))
        assert wrong == []


def brukernavn_of(simulators: RunningSimulators, world: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """FS's own row of a case."""
    institution = next(one for one in world["institutions"] if one["orgId"] == row["orgId"])
    return next(
        one for one in fs_of(simulators, institution).rows(row["examId"]) if one["personlopenr"] == row["personlopenr"]
    )


class TestParticipants:
    def test_pages_cover_a_large_flow_once(self, simulators: RunningSimulators, wiseflow: WiseflowCaller) -> None:
        org_id = wiseflow.institution["orgId"]
        cases = simulators.control.cases()
        row = next(one for one in cases if one["orgId"] == org_id and one["expected"] == "registered")
        flow_id = wiseflow.flows_of(row["sourceCode"])[0]
        first = wiseflow.call("GET", f"/flows/{flow_id}/participants").json()
        everybody = wiseflow.participants(flow_id)
        assert len(first["data"]) == first["pagination"]["limit"] == 100
        assert len({one["participantId"] for one in everybody}) == first["pagination"]["total"] > 100
        assert str(row["kandidatnr"]) in {one["uniqueExamId"] for one in everybody}

    @pytest.mark.parametrize("query", [{"limit": "101"}, {"limit": "0"}, {"offset": "-1"}, {"offset": "x"}])
    def test_pages_have_limits(self, wiseflow: WiseflowCaller, case: dict[str, Any], query: dict[str, str]) -> None:
        path = f"/flows/{case['flowId']}/participants"
        assert wiseflow.call("GET", path, query=query, valid_request=False).status_code == 400

    def test_the_older_endpoint_serves_the_licence_that_lacks_the_new_one(
        self, simulators: RunningSimulators, world: dict[str, Any], contract: OpenApiContract
    ) -> None:
        old = caller(simulators, world, contract, participants_endpoint="old")
        case = added(simulators, old)
        assert old.call("GET", f"/flows/{case['flowId']}/participants").status_code == 404
        rows = old.participants(case["flowId"])
        assert case["participantId"] in {one["participantId"] for one in rows}
        assert not contract.describes("GET", f"/v1/flow/{case['flowId']}/participants")
        assert all("uniqueExamId" not in one for one in rows)


class TestExplanations:
    def test_a_request_is_created_once_and_then_returned(
        self, simulators: RunningSimulators, wiseflow: WiseflowCaller, case: dict[str, Any]
    ) -> None:
        simulators.control.assessors(paused=True)
        first = wiseflow.request_explanation(case["flowId"], case["participantId"])
        again = wiseflow.request_explanation(case["flowId"], case["participantId"], show=True)
        assert (first.status_code, again.status_code) == (201, 200)
        # asking again with `showJustification` does not change an existing request
        assert first.json() == again.json()
        requests_of_flow = wiseflow.call("GET", f"/flow/{case['flowId']}/explanation/request").json()
        assert [(one["explanationId"], one["state"]) for one in requests_of_flow] == [
            (first.json()["explanationRequestId"], 0)
        ]

    def test_due_date_is_kept(self, wiseflow: WiseflowCaller, case: dict[str, Any]) -> None:
        body = {"participantId": case["participantId"], "showJustification": False, "dueDate": 1_800_000_000}
        created = wiseflow.call("POST", f"/flow/{case['flowId']}/explanation/request", body).json()
        assert wiseflow.explanation(case["flowId"], created["explanationRequestId"])["dueDate"] == 1_800_000_000

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"participantId": UNKNOWN_ID, "showJustification": True}, 404),
            ({"participantId": "1", "showJustification": True}, 400),
            ({"participantId": 1}, 400),
            ({"participantId": 1, "showJustification": True, "dueDate": "soon"}, 400),
            ([], 400),
        ],
    )
    def test_refusals_have_no_body(
        self, wiseflow: WiseflowCaller, case: dict[str, Any], body: object, status: int
    ) -> None:
        path = f"/flow/{case['flowId']}/explanation/request"
        answer = wiseflow.call("POST", path, body, valid_request=False)
        assert (answer.status_code, answer.content) == (status, b"")

    def test_a_body_that_is_no_json_is_refused(self, wiseflow: WiseflowCaller, case: dict[str, Any]) -> None:
        answer = wiseflow.http.post(
            f"{wiseflow.address}/flow/{case['flowId']}/explanation/request",
            data="participantId=1",
            headers=wiseflow.credentials() | {"Content-Type": "text/plain"},
            timeout=10,
        )
        assert answer.status_code == 415

    def test_explanations_switched_off_give_403(self, simulators: RunningSimulators, wiseflow: WiseflowCaller) -> None:
        case = added(simulators, wiseflow, oddity="explanations_off")
        answer = wiseflow.request_explanation(case["flowId"], case["participantId"])
        assert (answer.status_code, answer.content) == (403, b"")

    def test_unknown_request_is_404(self, wiseflow: WiseflowCaller, case: dict[str, Any]) -> None:
        path = f"/flow/{case['flowId']}/explanation/request/{UNKNOWN_ID}"
        answer = wiseflow.call("GET", path)
        assert (answer.status_code, answer.content) == (404, b"")
        assert wiseflow.call("PATCH", path, {"showJustification": True}).json()["success"] is False

    def test_made_visible_by_patch_sends_one_email(
        self, simulators: RunningSimulators, wiseflow: WiseflowCaller, case: dict[str, Any]
    ) -> None:
        created = wiseflow.request_explanation(case["flowId"], case["participantId"]).json()
        path = f"/flow/{case['flowId']}/explanation/request/{created['explanationRequestId']}"
        answers = [wiseflow.call("PATCH", path, {"showJustification": True}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        simulators.control.modes(patch_data="object")
        assert wiseflow.call("PATCH", path, {"showJustification": True}).json()["data"]["showJustification"] is True
        assert wiseflow.call("PATCH", path, {}, valid_request=False).status_code == 400
        numbers = simulators.control.summary()
        assert (numbers["shown"], numbers["emails"]) == (1, 1)

    @pytest.mark.parametrize("answer_state", [2, 3])
    def test_the_answer_comes_by_itself_and_is_among_other_comments(
        self, simulators: RunningSimulators, world: dict[str, Any], contract: OpenApiContract, answer_state: int
    ) -> None:
        institution = next(
            one
            for one in world["institutions"]
            if one["settings"]["answer_state"] == answer_state and one["settings"]["participants_endpoint"] == "new"
        )
        wiseflow = wiseflow_of(simulators, institution, contract)
        case = added(simulators, wiseflow, answer_text="Svaret er 42 🎓.")
        created = wiseflow.request_explanation(case["flowId"], case["participantId"]).json()
        simulators.control.wait("answered", 1)
        explanation = wiseflow.explanation(case["flowId"], created["explanationRequestId"])
        participant = next(
            one for one in wiseflow.participants(case["flowId"]) if one["participantId"] == case["participantId"]
        )
        comments = wiseflow.call("GET", f"/flows/{case['flowId']}/assessors/submission-comments").json()["data"]
        assert explanation["state"] == answer_state
        assert ("acceptDate" in explanation) == (answer_state == 3)
        assert wiseflow.answer_text(case["flowId"], explanation, participant["submissionId"]) == "Svaret er 42 🎓."
        about_it = [one for one in comments if one["containerId"] == participant["submissionId"]]
        assert len(comments) > len(about_it) > 1
        assert about_it[-1]["shareType"] == "ASSESSORS"

    def test_an_assessor_can_write_html(self, simulators: RunningSimulators, wiseflow: WiseflowCaller) -> None:
        simulators.control.modes(comment_format="html")
        case = added(simulators, wiseflow, answer_text="Drøfter R&D,  a < b\nog mer.\n\nGodt.")
        wiseflow.request_explanation(case["flowId"], case["participantId"])
        simulators.control.wait("answered", 1)
        comments = wiseflow.call("GET", f"/flows/{case['flowId']}/assessors/submission-comments").json()["data"]
        contents = [one["content"] for one in comments]
        assert "<p>Dr&oslash;fter R&amp;D,  a &lt; b<br>og mer.</p><p>Godt.</p>" in contents
        assert "<p>Notat til medsensor: se over poengsummen.</p>" in contents

    def test_the_text_can_be_on_the_request_instead(
        self, simulators: RunningSimulators, wiseflow: WiseflowCaller, case: dict[str, Any]
    ) -> None:
        simulators.control.modes(justification="justification")
        created = wiseflow.request_explanation(case["flowId"], case["participantId"]).json()
        simulators.control.wait("answered", 1)
        path = f"/flow/{case['flowId']}/explanation/request/{created['explanationRequestId']}"
        with pytest.raises(AssertionError, match="justification is not in the description"):
            wiseflow.call("GET", path)
        wiseflow.undeclared = ("justification",)
        assert wiseflow.call("GET", path).json()["justification"]["text"].strip()

    def test_an_unlocked_answer_goes_back_to_assigned_and_is_accepted_later(
        self, simulators: RunningSimulators, wiseflow: WiseflowCaller, case: dict[str, Any]
    ) -> None:
        created = wiseflow.request_explanation(case["flowId"], case["participantId"]).json()
        explanation_id = created["explanationRequestId"]
        simulators.control.wait("answered", 1)
        before = wiseflow.explanation(case["flowId"], explanation_id)
        simulators.control.assessors(paused=True)
        simulators.control.change_answer(explanation_id, "Ny tekst.", after_s=0.001)
        unlocked = wiseflow.explanation(case["flowId"], explanation_id)
        simulators.control.change_answer(explanation_id, "Enda en tekst.")
        after = wiseflow.explanation(case["flowId"], explanation_id)
        assert [one["state"] for one in (before, unlocked, after)] == [3, 1, 3]
        assert "acceptDate" not in unlocked
        assert after["acceptDate"] > before["acceptDate"]

    def test_comments_have_pages(self, wiseflow: WiseflowCaller, case: dict[str, Any]) -> None:
        path = f"/flows/{case['flowId']}/assessors/submission-comments"
        assert wiseflow.call("GET", path, query={"limit": "1"}).json()["pagination"]["limit"] == 1
        assert wiseflow.call("GET", path, query={"limit": "1001"}).status_code == 400
        assert wiseflow.call("GET", f"/flows/{UNKNOWN_ID}/assessors/submission-comments").status_code == 400
