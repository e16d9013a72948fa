"""Participants of the simulated WISEflow: one at a time, changed, in groups. Checked against the vendor's description 1.34.0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simulators.process import RunningSimulators, running
from tests.support.openapi import OpenApiContract, wiseflow_contract
from tests.support.simulator_callers import WiseflowCaller, wiseflow_of

pytestmark = pytest.mark.contract

UNKNOWN_ID = 999_999_999


@pytest.fixture(scope="module")
def contract() -> OpenApiContract:
    return wiseflow_contract()


@pytest.fixture(scope="module")
def simulators() -> Iterator[RunningSimulators]:
    with running(seed=17) as started:
        yield started


@pytest.fixture
def world(simulators: RunningSimulators) -> dict[str, Any]:
    simulators.control.modes(justification="comment")
    simulators.control.assessors(minimum_delay_s=0, maximum_delay_s=0, paused=False)
    return simulators.control.population(institutions=3, courses=3, requests=0, seed=17)


@pytest.fixture
def wiseflow(simulators: RunningSimulators, world: dict[str, Any], contract: OpenApiContract) -> WiseflowCaller:
    return wiseflow_of(simulators, world["institutions"][0], contract)


@pytest.fixture
def case(simulators: RunningSimulators, wiseflow: WiseflowCaller) -> dict[str, Any]:
    return added(simulators, wiseflow)


def added(simulators: RunningSimulators, wiseflow: WiseflowCaller, **order: Any) -> dict[str, Any]:
    return simulators.control.add_request(wiseflow.institution["orgId"], **order)


class TestOneParticipant:
    def test_one_participant_is_the_same_as_in_the_list(self, wiseflow: WiseflowCaller, case: dict[str, Any]) -> None:
        path = f"/flows/{case['flowId']}/participants/{case['participantId']}"
        answer = wiseflow.call("GET", path).json()
        (listed,) = (
            one for one in wiseflow.participants(case["flowId"]) if one["participantId"] == case["participantId"]
        )
        assert answer == {"success": True, "data": listed}

    def test_an_unknown_participant_gives_404_in_the_envelope(
        self, simulators: RunningSimulators, wiseflow: WiseflowCaller, case: dict[str, Any]
    ) -> None:
        elsewhere = added(simulators, wiseflow)
        places = [
            (case["flowId"], UNKNOWN_ID), (case["flowId"], elsewhere["participantId"]),
            (UNKNOWN_ID, case["participantId"]),
        ]  # fmt: skip
        answers = [wiseflow.call("GET", f"/flows/{flow}/participants/{one}") for flow, one in places]
        assert [(one.status_code, one.json()["success"]) for one in answers] == [(404, False)] * 3

    def test_only_licences_with_the_new_list_have_it(
        self, simulators: RunningSimulators, world: dict[str, Any], contract: OpenApiContract
    ) -> None:
        institution = next(one for one in world["institutions"] if one["settings"]["participants_endpoint"] == "old")
        old = wiseflow_of(simulators, institution, contract)
        case = added(simulators, old)
        path = f"/flows/{case['flowId']}/participants/{case['participantId']}"
        assert old.call("GET", path).status_code == 404

    def test_a_change_is_seen_at_once(
        self, simulators: RunningSimulators, wiseflow: WiseflowCaller, case: dict[str, Any]
    ) -> None:
        path = f"/flows/{case['flowId']}/participants/{case['participantId']}"
        other_names = [{"name": "FS", "value": "1"}]
        simulators.control.change(case["caseId"], uniqueExamId="9001", externalIds=other_names)
        one = wiseflow.call("GET", path).json()["data"]
        assert (one["uniqueExamId"], one["user"]["externalIds"]) == ("9001", other_names)
        simulators.control.change(case["caseId"], externalIds=[], kandidatnr=9002, in_wiseflow=True)
        one = wiseflow.call("GET", path).json()["data"]
        assert (one["uniqueExamId"], one["user"].get("externalIds")) == ("9002", None)
        simulators.control.change(case["caseId"], externalIds=None)
        usual = wiseflow.call("GET", path).json()["data"]["user"]["externalIds"]
        assert [name["name"] for name in usual] == ["Feide", "FS"]

    def test_swapped_numbers_are_swapped_in_one_moment(
        self, simulators: RunningSimulators, wiseflow: WiseflowCaller, case: dict[str, Any]
    ) -> None:
        other = added(simulators, wiseflow, examId=case["examId"])
        ids = [one["participantId"] for one in (case, other)]

        def numbers() -> list[str]:
            paths = [f"/flows/{case['flowId']}/participants/{one}" for one in ids]
            return [wiseflow.call("GET", path).json()["data"]["uniqueExamId"] for path in paths]

        before = numbers()
        simulators.control.change(case["caseId"], swapWith=other["caseId"], expected="identity")
        assert numbers() == before
        simulators.control.change(case["caseId"], swapWith=other["caseId"], expected="registered")
        simulators.control.change(case["caseId"], swapWith=other["caseId"], in_wiseflow=True)
        assert numbers() == before[::-1]
        rows = {row["caseId"]: row for row in simulators.control.cases()}
        assert [str(rows[one["caseId"]]["kandidatnr"]) for one in (case, other)] == before[::-1]
        assert {rows[one["caseId"]]["expected"] for one in (case, other)} == {"registered"}
        assert "swapWith" in rows[case["caseId"]]["dataFaults"]


class TestGroups:
    def test_members_share_a_submission_and_each_has_a_text_of_their_own(
        self, simulators: RunningSimulators, wiseflow: WiseflowCaller, case: dict[str, Any]
    ) -> None:
        other = added(simulators, wiseflow, groupWith=case["caseId"])
        flow_id = case["flowId"]
        assert (other["flowId"], other["expected"]) == (flow_id, "shared_submission")
        paths = [f"/flows/{flow_id}/participants/{one['participantId']}" for one in (case, other)]
        members = [wiseflow.call("GET", path).json()["data"] for path in paths]
        assert members[0]["participantId"] != members[1]["participantId"]
        assert members[0]["groupId"] == members[1]["groupId"] is not None
        assert members[0]["submissionId"] == members[1]["submissionId"]
        assert members[0]["assessorIds"] == members[1]["assessorIds"]
        assert [one["groupId"] for one in wiseflow.participants(flow_id)].count(members[0]["groupId"]) == 2

        for one in (case, other):
            wiseflow.request_explanation(flow_id, one["participantId"])
        simulators.control.wait("answered", 2)
        comments = wiseflow.call("GET", f"/flows/{flow_id}/assessors/submission-comments").json()["data"]
        shared = [one["content"] for one in comments if one["containerId"] == members[0]["submissionId"]]
        for member in members:
            assert sum(f"Deltaker {member['participantId']}." in content for content in shared) == 1

    def test_a_text_on_the_request_names_its_participant(
        self, simulators: RunningSimulators, wiseflow: WiseflowCaller, case: dict[str, Any]
    ) -> None:
        simulators.control.modes(justification="justification")
        assert added(simulators, wiseflow, groupWith=case["caseId"])["expected"] == "registered"

    def test_a_group_needs_a_case_of_the_institution(
        self, simulators: RunningSimulators, wiseflow: WiseflowCaller
    ) -> None:
        with pytest.raises(ValueError, match="no such case"):
            added(simulators, wiseflow, groupWith=UNKNOWN_ID)


def test_a_participant_can_be_without_names_of_other_systems(
    simulators: RunningSimulators, wiseflow: WiseflowCaller
) -> None:
    case = added(simulators, wiseflow, externalIds=[])
    wiseflow.request_explanation(case["flowId"], case["participantId"])
    (explanation,) = wiseflow.call("GET", f"/flow/{case['flowId']}/explanation/request").json()
    for user in (
        explanation["participant"]["user"],
        wiseflow.call("GET", f"/flows/{case['flowId']}/participants/{case['participantId']}").json()["data"]["user"],
    ):
        assert "externalIds" not in user
