"""The check against the vendor's description finds errors. A check that cannot fail proves nothing."""

from __future__ import annotations

import pytest

from tests.support.openapi import OpenApiContract, wiseflow_contract

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def contract() -> OpenApiContract:
    return wiseflow_contract()


class TestTheCheckItself:
    """Each kind of error must be found."""

    def test_a_misspelled_property_is_found(self, contract: OpenApiContract) -> None:
        body = b'{"success": true, "data": [{"participantID": 1}]}'
        with pytest.raises(AssertionError, match="participantID is not in the description"):
            contract.check_response("GET", "/v1/flows/1/participants", 200, {"Content-Type": "application/json"}, body)

    @pytest.mark.parametrize(
        ("path", "status", "body", "message"),
        [
            ("/v1/flow/1/explanation/request/2", 200, b'{"explanationId": 2}', "'state' is a required property"),
            ("/v1/flow/1", 404, b"{}", "a body where the description has none"),
            ("/v1/flow/1", 418, b"", "the description has only"),
            ("/v1/flow/1/nothing", 200, b"", "the description has no GET"),
            ("/v1/flow/1", 200, b"not json", "cannot be read"),
        ],
    )
    def test_a_wrong_answer_is_found(
        self, contract: OpenApiContract, path: str, status: int, body: bytes, message: str
    ) -> None:
        with pytest.raises(AssertionError, match=message):
            contract.check_response("GET", path, status, {"Content-Type": "application/json"}, body)

    @pytest.mark.parametrize(
        ("query", "headers", "body", "message"),
        [
            ({}, {"x-api-key": "k"}, '{"participantId": "1", "showJustification": true}', "not of type 'integer'"),
            ({}, {"x-api-key": "k"}, '{"participantId": 1}', "'showJustification' is a required property"),
            ({}, {}, '{"participantId": 1, "showJustification": true}', "neither a bearer token"),
            ({"x": "1"}, {"x-api-key": "k"}, '{"participantId": 1, "showJustification": true}', "query parameter x"),
            ({}, {"x-api-key": "k"}, '{"participantId": 1, "showJustification": true, "due": 1}', "due is not in"),
            ({}, {"x-api-key": "k"}, None, "cannot be read"),
        ],
    )
    def test_a_wrong_request_is_found(
        self, contract: OpenApiContract, query: dict[str, str], headers: dict[str, str], body: str, message: str
    ) -> None:
        sent = headers | {"Content-Type": "application/json"}
        with pytest.raises(AssertionError, match=message):
            contract.check_request("POST", "/v1/flow/1/explanation/request", query, sent, body)

    def test_a_path_that_is_no_number_is_found(self, contract: OpenApiContract) -> None:
        with pytest.raises(AssertionError, match="path parameter flowId is no integer"):
            contract.check_request("GET", "/v1/flow/x1", {}, {"x-api-key": "k"}, None)
