"""The WISEflow client with the simulated WISEflow. Every exchange is checked against the vendor's description."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from casebridge.errors import AuthBrokenError, CaseError, PermanentError, RateLimitedError, TransientError
from casebridge.exams.exam_key import ExamKey
from casebridge.institutions.institution import Institution, WiseflowAccess
from casebridge.secrets import Secrets
from casebridge.settings import HttpSettings, WiseflowSettings
from resources.http.client import HttpClient
from resources.wiseflow.client import WiseflowClient
from resources.wiseflow.records import SubmissionComment
from simulators.process import RunningSimulators
from tests.support.openapi import OpenApiContract, wiseflow_contract
from tests.support.recorded_clients import SimulatedWorld, check_exchanges, recorded
from tests.support.scripted_server import ScriptedServer, answer

UNKNOWN = 999_999_999


@pytest.fixture(scope="module")
def contract() -> OpenApiContract:
    return wiseflow_contract()


@pytest.fixture
def world(simulators: RunningSimulators) -> Iterator[SimulatedWorld]:
    control = simulators.control
    control.clear_faults()
    control.modes(justification="comment", patch_data="array", sis_flows_shape="list")
    control.assessors(minimum_delay_s=0, maximum_delay_s=0, paused=False)
    prepared = SimulatedWorld(simulators, control.population(institutions=6, courses=6, requests=0, seed=3))
    yield prepared
    prepared.close()
    control.modes(justification="comment", patch_data="array", sis_flows_shape="list")


@pytest.fixture
def institution(world: SimulatedWorld) -> Institution:
    return world.institution(flow_search="sources", authentication="oauth2", participants_endpoint="new")


@pytest.fixture
def client(world: SimulatedWorld, institution: Institution) -> WiseflowClient:
    return world.wiseflow(institution)


@pytest.fixture
def case(world: SimulatedWorld, institution: Institution) -> dict[str, Any]:
    return world.add_request(institution)


def source_code(case: dict[str, Any]) -> str:
    return "||".join(ExamKey.from_vurd_id(case["examId"]).parts)


def test_every_exchange_of_a_whole_case_is_as_the_vendor_describes(
    world: SimulatedWorld,
    client: WiseflowClient,
    case: dict[str, Any],
    contract: OpenApiContract,
    simulators: RunningSimulators,
) -> None:
    flow_id, participant_id = case["flowId"], case["participantId"]
    assert [hit.flow_id for hit in client.search_sources(source_code(case))] == [flow_id]
    assert client.flow(flow_id).flow_id == flow_id
    listed = {one.participant_id: one for one in client.participants(flow_id, "new")}
    assert listed[participant_id].unique_exam_id == str(case["kandidatnr"])

    due = datetime.now(UTC) + timedelta(days=14)
    created = client.request_explanation(flow_id, participant_id, show=False, due=due)
    again = client.request_explanation(flow_id, participant_id, show=False, due=due)
    assert (created.created, again.created) == (True, False)
    assert created.explanation_request_id == again.explanation_request_id
    simulators.control.wait("answered", 1)

    assert [one.explanation_id for one in client.explanations(flow_id)] == [created.explanation_request_id]
    explanation = client.explanation(flow_id, created.explanation_request_id)
    assert explanation.participant is not None
    assert explanation.participant.participant_id == participant_id
    assert explanation.assigned_assessor is not None
    assert any(one.container_id == listed[participant_id].submission_id for one in client.submission_comments(flow_id))
    assert client.show_explanation(flow_id, created.explanation_request_id).show_justification

    for refused in (
        lambda: client.flow(UNKNOWN),
        lambda: client.explanation(flow_id, UNKNOWN),
        lambda: client.show_explanation(flow_id, UNKNOWN),
        lambda: client.request_explanation(flow_id, UNKNOWN, show=False, due=None),
        lambda: client.participants(UNKNOWN, "new"),
        lambda: client.submission_comments(UNKNOWN),
        lambda: client.search_sources("a||b"),
    ):
        with pytest.raises(PermanentError):
            refused()
    # the token, nine calls that succeed and seven that are refused
    assert check_exchanges(recorded(client), contract) == 1 + 9 + 7


@pytest.mark.parametrize("shape", ["list", "object"])
def test_the_deprecated_flow_search_is_read_in_both_shapes(
    world: SimulatedWorld, simulators: RunningSimulators, contract: OpenApiContract, shape: str
) -> None:
    simulators.control.modes(sis_flows_shape=shape)
    institution = world.institution(flow_search="sis_flows")
    case = world.add_request(institution)
    client = world.wiseflow(institution)
    assert [flow.flow_id for flow in client.search_sis_flows(source_code(case))] == [case["flowId"]]
    assert client.search_sis_flows("901||NONE||1||S||2025||HØST") == []
    assert check_exchanges(recorded(client), contract) == 3


@pytest.mark.parametrize("data", ["array", "object"])
def test_the_answer_to_patch_is_read_in_both_shapes(
    client: WiseflowClient, case: dict[str, Any], simulators: RunningSimulators, contract: OpenApiContract, data: str
) -> None:
    simulators.control.modes(patch_data=data)
    created = client.request_explanation(case["flowId"], case["participantId"], show=False, due=None)
    shown = client.show_explanation(case["flowId"], created.explanation_request_id)
    assert shown.explanation_request_id == created.explanation_request_id
    assert shown.show_justification
    assert check_exchanges(recorded(client), contract) == 3


def test_a_static_key_needs_no_token(world: SimulatedWorld, contract: OpenApiContract) -> None:
    institution = world.institution(authentication="api_key")
    case = world.add_request(institution)
    client = world.wiseflow(institution)
    assert client.flow(case["flowId"]).flow_id == case["flowId"]
    assert not client.renew_credential()
    assert check_exchanges(recorded(client), contract) == 1


def test_the_older_list_of_participants_is_read(world: SimulatedWorld) -> None:
    institution = world.institution(participants_endpoint="old")
    case = world.add_request(institution)
    client = world.wiseflow(institution, participants_page=3)
    listed = client.participants(case["flowId"], "old")
    assert case["participantId"] in {one.participant_id for one in listed}
    assert len({one.participant_id for one in listed}) == len(listed) == 6
    assert {one.unique_exam_id for one in listed} == {None}


@pytest.mark.parametrize("page", [1, 2, 3, 5, 6, 7])
def test_all_pages_are_read(world: SimulatedWorld, institution: Institution, case: dict[str, Any], page: int) -> None:
    client = world.wiseflow(institution, participants_page=page, comments_page=page)
    assert len(client.participants(case["flowId"], "new")) == 6
    pages = [path for path in recorded(client).paths() if path.endswith("/participants")]
    assert len(pages) == -(-6 // page)


def test_threads_share_one_token(world: SimulatedWorld, client: WiseflowClient, case: dict[str, Any]) -> None:
    together = threading.Barrier(8)

    def call(_: int) -> int:
        together.wait(10)
        return client.flow(case["flowId"]).flow_id

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(call, range(8))) == {case["flowId"]}
    assert recorded(client).paths().count("POST /v1/oauth2/token") == 1


def test_tokens_that_end_at_once_are_renewed_once_for_all_threads(
    client: WiseflowClient, case: dict[str, Any], simulators: RunningSimulators
) -> None:
    client.flow(case["flowId"])
    simulators.control.expire_tokens()
    together = threading.Barrier(8)

    def call(_: int) -> int:
        together.wait(10)
        return client.flow(case["flowId"]).flow_id

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(call, range(8))) == {case["flowId"]}
    assert recorded(client).paths().count("POST /v1/oauth2/token") == 2


def test_refused_credentials_pause_the_institution_and_recover(
    client: WiseflowClient, institution: Institution, case: dict[str, Any], simulators: RunningSimulators
) -> None:
    client.flow(case["flowId"])
    simulators.control.credentials(institution.org_id, "wiseflow", valid=False)
    with pytest.raises(AuthBrokenError) as caught:
        client.flow(case["flowId"])
    assert caught.value.code == "wiseflow.credentials_refused"
    simulators.control.credentials(institution.org_id, "wiseflow", valid=True)
    assert client.flow(case["flowId"]).flow_id == case["flowId"]


def test_a_refused_fresh_token_is_not_renewed_for_ever(
    client: WiseflowClient, case: dict[str, Any], simulators: RunningSimulators
) -> None:
    simulators.control.faults({"kind": "status", "status": 401, "system": "wiseflow", "path": "/flow/"})
    with pytest.raises(AuthBrokenError):
        client.flow(case["flowId"])
    assert recorded(client).paths() == [
        "POST /v1/oauth2/token",
        f"GET /v1/flow/{case['flowId']}",
        "POST /v1/oauth2/token",
        f"GET /v1/flow/{case['flowId']}",
    ]


def test_a_missing_secret_names_the_variable_and_no_value(institution: Institution) -> None:
    access = institution.wiseflow
    assert access is not None
    client = WiseflowClient(
        access, Secrets({}), WiseflowSettings(), HttpClient("WISEflow", access.base_url, HttpSettings())
    )
    with pytest.raises(AuthBrokenError) as caught:
        client.flow(1)
    assert "_CLIENT_ID" in caught.value.cause


@pytest.mark.parametrize(
    ("rule", "kind", "code"),
    [
        ({"kind": "drop"}, TransientError, "wiseflow.connection_lost"),
        ({"kind": "status", "status": 503}, TransientError, "wiseflow.http_503"),
        ({"kind": "status", "status": 429, "retry_after": 4}, RateLimitedError, "wiseflow.rate_limited"),
        ({"kind": "html"}, TransientError, "wiseflow.body_not_json"),
        ({"kind": "empty"}, TransientError, "wiseflow.body_not_json"),
        ({"kind": "invalid_json"}, TransientError, "wiseflow.body_not_json"),
        ({"kind": "not_found_body"}, PermanentError, "wiseflow.flow_unknown"),
    ],
)
@pytest.mark.parametrize("after_effect", [False, True])
def test_faults_become_errors(
    client: WiseflowClient,
    case: dict[str, Any],
    simulators: RunningSimulators,
    rule: dict[str, Any],
    kind: type[CaseError],
    code: str,
    after_effect: bool,
) -> None:
    client.renew_credential()
    simulators.control.faults({"system": "wiseflow", "times": 1, "after_effect": after_effect, **rule})
    with pytest.raises(kind) as caught:
        client.flow(case["flowId"])
    assert caught.value.code == code
    assert caught.value.system == "WISEflow"
    assert client.flow(case["flowId"]).flow_id == case["flowId"]


def test_explanations_that_are_switched_off_concern_the_institution(
    world: SimulatedWorld, institution: Institution, client: WiseflowClient
) -> None:
    case = world.add_request(institution, oddity="explanations_off")
    with pytest.raises(PermanentError) as caught:
        client.request_explanation(case["flowId"], case["participantId"], show=False, due=None)
    assert caught.value.code == "wiseflow.explanations_off"
    assert "trace id" in caught.value.cause


# What the simulator never answers, because it follows the description.

ACCESS = {"licenseId": 1, "credentialRef": "x", "authentication": "api_key"}


def scripted(server: ScriptedServer) -> WiseflowClient:
    access = WiseflowAccess.model_validate({**ACCESS, "baseUrl": server.address})
    secrets = Secrets({"CASEBRIDGE_SECRET_X_API_KEY": "key"})
    http = HttpClient("WISEflow", server.address, HttpSettings(total_seconds=5.0, read_seconds=5.0))
    return WiseflowClient(access, secrets, WiseflowSettings(participants_page=2), http)


def page(rows: str, total: int | None = None) -> bytes:
    pagination = f', "pagination": {{"total": {total}}}' if total is not None else ""
    return f'{{"success": true, "data": [{rows}]{pagination}}}'.encode()


ONE, TWO, THREE = (f'{{"participantId": {number}}}' for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ([page(f"{ONE}, {TWO}", 3), page(THREE, 3)], [1, 2, 3]),
        ([page(ONE, 3), page(TWO, 3), page(THREE, 3)], [1, 2, 3]),
        ([page(f"{ONE}, {TWO}", 3), page(f"{TWO}", 3)], [1, 2]),
        ([page(f"{ONE}, {TWO}"), page(f"{ONE}, {TWO}")], [1, 2]),
        ([page(f"{ONE}, {TWO}, {THREE}")], [1, 2, 3]),
        ([page(f"{ONE}, {TWO}"), page("")], [1, 2]),
        ([f"[{ONE}]".encode()], [1]),
        ([page("", 0)], []),
    ],
    ids=[
        "two pages",
        "half pages",
        "a row twice",
        "paging ignored",
        "all at once",
        "empty last page",
        "bare list",
        "nobody",
    ],
)
def test_pages_of_every_kind(pages: list[bytes], expected: list[int]) -> None:
    with ScriptedServer(*(answer("200 OK", one) for one in pages)) as server:
        client = scripted(server)
        assert [one.participant_id for one in client.participants(7, "new")] == expected
        assert len(server.requests) == len(pages)
        client.http.close()


@pytest.mark.parametrize(
    "body",
    [
        page("", 3),
        b'{"success": false, "data": [], "error": {"code": 5, "message": "no"}}',
        b'{"success": true}',
        b'{"success": true, "data": [{"name": "kari.n"}]}',
        b'{"success": true, "data": {"participantId": 1}}',
        b'"ok"',
        b"17",
        b"null",
    ],
)
def test_a_list_that_cannot_be_read_is_never_an_empty_list(body: bytes) -> None:
    with ScriptedServer(answer("200 OK", body)) as server:
        client = scripted(server)
        with pytest.raises(TransientError) as caught:
            client.participants(7, "new")
        assert caught.value.code == "wiseflow.shape_unknown"
        assert "kari" not in str(caught.value)
        client.http.close()


def test_comments_with_one_id_do_not_replace_each_other() -> None:
    """The newest text is chosen by its date, not by its place in the list."""
    rows = [
        {"id": 0, "containerId": container, "content": text, "createdAt": f"2026-11-{day}T12:00:00Z"}
        for container, day, text in ((500, 20, "En rettelse"), (500, 10, "En begrunnelse"), (501, 12, "En annens"))
    ]
    with ScriptedServer(answer("200 OK", page(json.dumps(rows)[1:-1], 3))) as server:
        client = scripted(server)
        found = client.submission_comments(7)
        client.http.close()
    assert [(one.container_id, one.content) for one in found if isinstance(one, SubmissionComment)] == [
        (500, "En rettelse"), (500, "En begrunnelse"), (501, "En annens"),
    ]  # fmt: skip


def test_endless_pages_end_with_an_error() -> None:
    with ScriptedServer(answer("200 OK", page(ONE, 10_000_000))) as server:
        client = scripted(server)
        with pytest.raises(TransientError) as caught:
            client.participants(7, "new")
        assert "pages without an end" in caught.value.cause
        client.http.close()


def test_an_explanation_with_unknown_fields_and_a_new_state_is_read() -> None:
    body = b'{"explanationId": 5, "requestDate": 1767863700, "state": 9, "acceptDate": 0, "brandNew": {}, "participant": null}'
    with ScriptedServer(answer("200 OK", body)) as server:
        client = scripted(server)
        explanation = client.explanation(7, 5)
        assert (explanation.state, explanation.accept_date, explanation.participant) == (9, None, None)
        client.http.close()
