"""What the simulators count: no mistake for a population that is handled to its end, and each kind of mistake otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from simulators.process import RunningSimulators, running
from tests.support.simulator_callers import FsCaller, fs_of, registration, wiseflow_of

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def simulators() -> Iterator[RunningSimulators]:
    with running(seed=14) as started:
        yield started


@pytest.fixture
def fs(simulators: RunningSimulators) -> FsCaller:
    simulators.control.assessors(minimum_delay_s=0, maximum_delay_s=0, paused=False)
    world = simulators.control.population(institutions=1, courses=1, requests=0, seed=14, variety=False)
    return fs_of(simulators, world["institutions"][0])


def answered(simulators: RunningSimulators, fs: FsCaller, **order: Any) -> dict[str, Any]:
    """A case whose explanation is given in WISEflow and not yet registered in FS."""
    case = simulators.control.add_request(fs.institution["orgId"], **order)
    created = wiseflow_of(simulators, fs.institution).request_explanation(case["flowId"], case["participantId"])
    simulators.control.wait("answered", simulators.control.summary()["dispatched"])
    return {**case, **created.json()}


def register(fs: FsCaller, case: dict[str, Any], text: str, communicated: str = "2026-01-15") -> None:
    (row,) = fs.rows(case["examId"])
    assert fs.register(registration(case["examId"], row, text, communicated)).status_code == 200


def mistakes(simulators: RunningSimulators) -> dict[str, int]:
    numbers = simulators.control.summary()
    names = (
        "registered_twice", "registered_out_of_order", "registered_too_early", "wrong_text", "stale_text",
        "dispatched_to_wrong_participant",
    )  # fmt: skip
    return {name: numbers[name] for name in names if numbers[name]}


def test_a_population_that_is_handled_to_its_end_has_no_mistakes(simulators: RunningSimulators) -> None:
    control = simulators.control
    control.assessors(minimum_delay_s=0.01, maximum_delay_s=0.05, paused=False)
    world = control.population(institutions=6, courses=8, requests=40, seed=14)
    control.release()

    def carry(row: dict[str, Any]) -> None:
        institution = next(one for one in world["institutions"] if one["orgId"] == row["orgId"])
        fs, wiseflow = fs_of(simulators, institution), wiseflow_of(simulators, institution)
        in_fs = next(one for one in fs.rows(row["examId"]) if one["personlopenr"] == row["personlopenr"])
        found = wiseflow.find(row["sourceCode"], in_fs)
        if found is None:
            return
        created = wiseflow.request_explanation(*found)
        if created.status_code == 403:
            return
        control.wait("answered", world["expected"]["registered"])
        explanation = wiseflow.explanation(found[0], created.json()["explanationRequestId"])
        submission = next(
            one["submissionId"] for one in wiseflow.participants(found[0]) if one["participantId"] == found[1]
        )
        text = wiseflow.answer_text(found[0], explanation, submission)
        assert fs.register(registration(row["examId"], in_fs, text)).status_code == 200

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(carry, control.cases()))
    control.wait("outstanding", 0)
    numbers = control.summary()
    assert mistakes(simulators) == {}
    assert numbers["registered"] == numbers["answered"] == numbers["dispatched"] == world["expected"]["registered"]
    assert numbers["expected"] == world["expected"]
    assert 0 <= numbers["latency_s"]["p50"] <= numbers["latency_s"]["p95"]
    assert numbers["first_registered_at"] <= numbers["last_registered_at"]
    assert numbers["calls_by_route"]["wiseflow POST /flow/{flowId}/explanation/request"] >= numbers["dispatched"]
    assert sum(numbers["calls"].values()) == sum(numbers["calls_by_route"].values())
    ends = {row["state"] for row in control.cases() if row["expected"] == "registered"}
    assert ends == {"registered"}


def test_a_registration_of_each_version_is_no_mistake(simulators: RunningSimulators, fs: FsCaller) -> None:
    case = answered(simulators, fs, answer_text="Første.")
    register(fs, case, "Første.")
    simulators.control.change_answer(case["explanationRequestId"], "Andre.")
    assert mistakes(simulators) == {"stale_text": 1}
    register(fs, case, "Andre.")
    assert mistakes(simulators) == {}


def test_an_older_version_after_a_newer_one_is_out_of_order(simulators: RunningSimulators, fs: FsCaller) -> None:
    case = answered(simulators, fs, answer_text="Første.")
    simulators.control.change_answer(case["explanationRequestId"], "Andre.")
    register(fs, case, "Andre.")
    register(fs, case, "Første.")
    assert mistakes(simulators) == {"registered_out_of_order": 1, "stale_text": 1}


def test_the_same_answer_under_another_date_is_registered_twice(simulators: RunningSimulators, fs: FsCaller) -> None:
    case = answered(simulators, fs, answer_text="Svar.")
    register(fs, case, "Svar.", "2026-01-15")
    register(fs, case, "Svar.", "2026-01-16")
    assert mistakes(simulators) == {"registered_twice": 1}


def test_an_unregistered_version_does_not_hide_a_second_registration(
    simulators: RunningSimulators, fs: FsCaller
) -> None:
    case = answered(simulators, fs, answer_text="Første.")
    simulators.control.change_answer(case["explanationRequestId"], "Andre.")
    register(fs, case, "Andre.", "2026-01-15")
    register(fs, case, "Andre.", "2026-01-16")
    assert mistakes(simulators) == {"registered_twice": 1}


@pytest.mark.parametrize("text", ["Svar. ", "svar.", "En annens svar."])
def test_a_text_that_differs_in_anything_is_wrong(simulators: RunningSimulators, fs: FsCaller, text: str) -> None:
    case = answered(simulators, fs, answer_text="Svar.")
    register(fs, case, text)
    assert mistakes(simulators)["wrong_text"] == 1
    (row,) = simulators.control.cases()
    assert (row["mistakes"], row["textIsRight"]) == (mistakes(simulators), False)


def test_an_answer_that_is_not_accepted_yet_is_too_early(simulators: RunningSimulators, fs: FsCaller) -> None:
    case = simulators.control.add_request(fs.institution["orgId"])
    register(fs, case, "Gjettet.")
    assert mistakes(simulators) == {"registered_too_early": 1, "wrong_text": 1}


def test_a_request_for_a_student_who_did_not_ask_is_counted(simulators: RunningSimulators, fs: FsCaller) -> None:
    case = simulators.control.add_request(fs.institution["orgId"])
    wiseflow = wiseflow_of(simulators, fs.institution)
    other = next(
        one["participantId"]
        for one in wiseflow.participants(case["flowId"])
        if one["participantId"] != case["participantId"]
    )
    wiseflow.request_explanation(case["flowId"], other)
    assert mistakes(simulators) == {"dispatched_to_wrong_participant": 1}


def test_another_candidate_of_the_same_exam_can_ask(simulators: RunningSimulators, fs: FsCaller) -> None:
    first = answered(simulators, fs, answer_text="Til den første.")
    second = answered(simulators, fs, examId=first["examId"], answer_text="Til den andre.")
    assert (second["examId"], second["flowId"]) == (first["examId"], first["flowId"])
    rows = {row["personlopenr"]: row for row in fs.rows(first["examId"])}
    crossed = registration(first["examId"], rows[first["personlopenr"]], "Til den andre.")
    assert fs.register(crossed).status_code == 200
    assert mistakes(simulators)["wrong_text"] == 1


def test_an_invalid_order_for_a_request_is_refused(simulators: RunningSimulators, fs: FsCaller) -> None:
    org_id = fs.institution["orgId"]
    exam_id = simulators.control.add_request(org_id, oddity="two_flows")["examId"]
    for order in ({"oddity": "ghost"}, {"examId": "bm8"}, {"examId": exam_id}, {"colour": "red"}):
        with pytest.raises(ValueError, match=r".+"):
            simulators.control.add_request(org_id, **order)


def test_a_withdrawn_case_is_no_longer_expected(simulators: RunningSimulators, fs: FsCaller) -> None:
    case = simulators.control.add_request(fs.institution["orgId"])
    assert simulators.control.summary()["outstanding"] == 1
    simulators.control.withdraw(case["caseId"])
    numbers = simulators.control.summary()
    assert (numbers["outstanding"], numbers["expected"]["set_aside"]) == (0, {"withdrawn": 1})


def test_a_registered_row_that_is_opened_again_may_be_registered_once_more(
    simulators: RunningSimulators, fs: FsCaller
) -> None:
    case = answered(simulators, fs, answer_text="Svar.")
    register(fs, case, "Svar.")
    simulators.control.withdraw(case["caseId"], how="reopened")
    numbers = simulators.control.summary()
    assert (numbers["registered"], numbers["registrations"], numbers["outstanding"]) == (0, 1, 0)
    assert numbers["expected"]["set_aside"] == {"reopened": 1}
    register(fs, case, "Svar.")
    assert (simulators.control.summary()["registered"], mistakes(simulators)) == (1, {})
    register(fs, case, "Svar.", "2026-01-16")
    assert mistakes(simulators) == {"registered_twice": 1}


def test_a_withdrawn_row_that_is_opened_again_is_expected_again(simulators: RunningSimulators, fs: FsCaller) -> None:
    case = simulators.control.add_request(fs.institution["orgId"])
    simulators.control.withdraw(case["caseId"], how="removed")
    simulators.control.withdraw(case["caseId"], how="reopened")
    numbers = simulators.control.summary()
    assert (numbers["outstanding"], numbers["expected"]["registered"]) == (1, 1)
    (row,) = simulators.control.cases()
    assert (row["dataFaults"], row["state"]) == (["removed", "reopened"], "visible")


def test_a_newer_answer_is_no_loss_for_a_case_that_must_not_have_it(
    simulators: RunningSimulators, fs: FsCaller
) -> None:
    case = answered(simulators, fs, answer_text="Første.")
    register(fs, case, "Første.")
    simulators.control.change_answer(case["explanationRequestId"], "Andre.")
    simulators.control.change(case["caseId"], kandidatnr=4711, expected="identity")
    assert mistakes(simulators) == {}


def test_a_wait_that_is_not_met_says_so(simulators: RunningSimulators, fs: FsCaller) -> None:
    with pytest.raises(TimeoutError, match="registered is 0, not 1"):
        simulators.control.wait("registered", 1, timeout_s=0.05)
    with pytest.raises(ValueError, match="no such condition"):
        simulators.control.wait("happiness", 1)


def test_a_wait_ends_when_the_call_is_made(simulators: RunningSimulators, fs: FsCaller) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(simulators.control.wait, "calls", 1, system="fs", route="GET /versjon", timeout_s=20.0)
        fs.get("/versjon")
        assert waiting.result(25) == 1


def test_a_paused_assessor_answers_when_work_goes_on(simulators: RunningSimulators, fs: FsCaller) -> None:
    simulators.control.assessors(paused=True)
    case = simulators.control.add_request(fs.institution["orgId"])
    wiseflow_of(simulators, fs.institution).request_explanation(case["flowId"], case["participantId"])
    assert simulators.control.summary()["answered"] == 0
    simulators.control.assessors(paused=False)
    assert simulators.control.wait("answered", 1) == 1


def test_an_unknown_state_is_never_an_answer(simulators: RunningSimulators, fs: FsCaller) -> None:
    case = simulators.control.add_request(fs.institution["orgId"], oddity="unknown_state")
    wiseflow = wiseflow_of(simulators, fs.institution)
    created = wiseflow.request_explanation(case["flowId"], case["participantId"]).json()
    simulators.control.wait("submitted", 1)
    assert wiseflow.explanation(case["flowId"], created["explanationRequestId"])["state"] == 9
    assert simulators.control.summary()["answered"] == 0


def test_the_log_of_calls_keeps_no_secret(simulators: RunningSimulators, fs: FsCaller) -> None:
    fs.get("/versjon")
    (call,) = simulators.control.requests_log("fs")
    assert (call["route"], call["status"], call["orgId"]) == ("GET /versjon", 200, fs.institution["orgId"])
    assert call["headers"]["authorization"] == "***"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Drøfter R&D, a < b\nog mer.\n\nGodt.", 0),
        ("<p>Dr&oslash;fter R&amp;D,  a &lt; b<br>og mer.</p><p>Godt.</p>", 1),
        ("Drøfter R&D, a < b og mer.\n\nGodt.", 1),
        ("Drøfter R&amp;D, a < b\nog mer.\n\nGodt.", 1),
    ],
)
def test_only_the_readable_text_of_an_html_answer_is_right(
    text: str, wrong: int, simulators: RunningSimulators, fs: FsCaller
) -> None:
    simulators.control.modes(comment_format="html")
    try:
        case = answered(simulators, fs, answer_text="Drøfter R&D,  a < b\r\nog mer. \n\n\nGodt.\n")
        register(fs, case, text)
        assert simulators.control.summary()["wrong_text"] == wrong
    finally:
        simulators.control.modes(comment_format="plain")
