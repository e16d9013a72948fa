"""The exam system port with the simulated WISEflow: which exam, which candidate, and how many calls that costs."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import pytest

from casebridge.errors import AuthBrokenError, PermanentError
from casebridge.exams.exam_key import ExamKey
from casebridge.exams.models import ExamPlace
from casebridge.institutions.institution import Institution
from resources.wiseflow.exam_system import WiseflowExamSystem
from simulators.process import RunningSimulators
from tests.support.openapi import wiseflow_contract
from tests.support.recorded_clients import SimulatedWorld, check_exchanges, recorded
from tests.support.wiseflow_answers import person

CODES_OF_UNUSUAL_CASES = {
    "no_candidate": "wiseflow.participant_missing",
    "no_flow": "wiseflow.flow_missing",
    "two_flows": "wiseflow.flow_ambiguous",
    "explanations_off": "wiseflow.explanations_off",
}


def test_every_case_of_a_varied_world_reaches_its_own_participant_or_a_person(
    world: SimulatedWorld, simulators: RunningSimulators
) -> None:
    """Both searches, both lists, keys and tokens, decoys, combined flows and every unusual case."""
    world.population = simulators.control.population(institutions=12, courses=24, requests=160, seed=7, hold=False)
    contract = wiseflow_contract()
    cases = simulators.control.cases()
    described = 0
    for institution in world.institutions():
        exams, names = world.exam_system(institution), user_names(world, institution)
        for case in (case for case in cases if case["orgId"] == institution.org_id):
            wanted = CODES_OF_UNUSUAL_CASES.get(case["expected"]) or str(case["participantId"])
            assert end_of(exams, case, names[case["personlopenr"]]) == wanted
        described += check_exchanges(recorded(exams.client), contract)
    assert {case["expected"] for case in cases} == {"registered", *CODES_OF_UNUSUAL_CASES}
    assert described > 200
    assert simulators.control.summary()["dispatched_to_wrong_participant"] == 0


def end_of(exams: WiseflowExamSystem, case: dict[str, Any], brukernavn: str) -> str:
    """The participant who was asked about, or the code of the error that a person sees."""
    try:
        place = exams.find_exam(ExamKey.from_vurd_id(case["examId"]))
        candidate = exams.find_candidate(place, person(case, f"{brukernavn}@{case['orgId']}"))
        exams.request_explanation(candidate, date.fromisoformat(case["frist"]))
    except PermanentError as error:
        return error.code
    return candidate.participant_id


def user_names(world: SimulatedWorld, institution: Institution) -> dict[int, str]:
    """The user names that FS has, by personlopenr."""
    registry = world.registry(institution)
    changed = registry.changed_exams(datetime(2020, 1, 1, tzinfo=UTC)).exams
    return {
        row["personlopenr"]: row["brukernavn"] for exam in changed for row in registry.explanation_rows(exam.vurd_id)
    }


def test_many_requests_for_one_exam_read_its_lists_once(
    world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem
) -> None:
    case = world.add_request(institution)
    exam = ExamKey.from_vurd_id(case["examId"])
    together = threading.Barrier(8)

    def place_candidate(_: int) -> str:
        together.wait(10)
        return exams.find_candidate(exams.find_exam(exam), person(case)).participant_id

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(place_candidate, range(8))) == {str(case["participantId"])}
    assert sorted(
        path.partition("/v1")[2].replace(str(case["flowId"]), "N") for path in recorded(exams.client).paths()
    ) == [
        "/flow/N",
        "/flows/N/participants",
        "/oauth2/token",
        "/sources/search",
    ]


def test_a_candidate_who_is_not_in_the_kept_list_costs_one_fresh_list(
    world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem, simulators: RunningSimulators
) -> None:
    case = world.add_request(institution)
    place = exams.find_exam(ExamKey.from_vurd_id(case["examId"]))
    exams.find_candidate(place, person(case))
    simulators.control.change(case["caseId"], kandidatnr=7777, in_wiseflow=True)
    assert exams.find_candidate(place, person(case, kandidatnr=7777)).participant_id == str(case["participantId"])
    assert sum(path.endswith("/participants") for path in recorded(exams.client).paths()) == 2


def test_a_missing_candidate_costs_one_list_if_none_is_kept(
    world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem
) -> None:
    case = world.add_request(institution)
    with pytest.raises(PermanentError) as caught:
        exams.find_candidate(ExamPlace(str(case["flowId"])), person(case, kandidatnr=7777, personlopenr=7777))
    assert caught.value.code == "wiseflow.participant_missing"
    assert sum(path.endswith("/participants") for path in recorded(exams.client).paths()) == 1


@pytest.mark.parametrize(
    ("authentication", "flow_search"), [("oauth2", "sources"), ("api_key", "sources"), ("oauth2", "sis_flows")]
)
def test_credentials_are_checked_by_a_call_that_needs_them(
    world: SimulatedWorld, simulators: RunningSimulators, authentication: str, flow_search: str
) -> None:
    world.population = simulators.control.population(institutions=6, courses=1, requests=0, seed=5)
    institution = world.institution(authentication=authentication, flow_search=flow_search)
    exams = world.exam_system(institution)
    exams.check_credentials()
    simulators.control.credentials(institution.org_id, "wiseflow", valid=False)
    with pytest.raises(AuthBrokenError):
        exams.check_credentials()
    simulators.control.credentials(institution.org_id, "wiseflow", valid=True)
    exams.check_credentials()


def test_checking_tokens_costs_one_call_each(institution: Institution, exams: WiseflowExamSystem) -> None:
    exams.check_credentials()
    assert recorded(exams.client).paths() == ["POST /v1/oauth2/token"]
    exams.check_credentials()
    assert recorded(exams.client).paths() == ["POST /v1/oauth2/token"] * 2
