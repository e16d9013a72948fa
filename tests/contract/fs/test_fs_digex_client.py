"""The FS client with the simulated FS-Digex (contract 3)."""

import base64
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from casebridge.errors import AuthBrokenError, PermanentError, TransientError
from casebridge.exams.models import ExplanationRegistration, ExplanationRequest
from casebridge.institutions.institution import Institution
from resources.fs.client import FsDigexClient
from simulators.process import RunningSimulators
from tests.support.recorded_clients import SimulatedWorld

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MODES = {"fs_list_shape": "exams", "fs_siden": "normal", "fs_duplicates": False}


@pytest.fixture
def world(simulators: RunningSimulators) -> Iterator[SimulatedWorld]:
    control = simulators.control
    control.clear_faults()
    control.modes(**MODES)
    prepared = SimulatedWorld(
        simulators,
        control.population(institutions=2, courses=4, requests=20, seed=9, hold=False, oddities=False, variety=False),
    )
    yield prepared
    prepared.close()
    control.modes(**MODES)


@pytest.fixture
def institution(world: SimulatedWorld) -> Institution:
    return world.institutions()[0]


@pytest.fixture
def registry(world: SimulatedWorld, institution: Institution) -> FsDigexClient:
    return world.registry(institution)


@pytest.fixture
def cases(simulators: RunningSimulators, institution: Institution) -> list[dict[str, Any]]:
    """The institution's cases in the simulator."""
    return [case for case in simulators.control.cases() if case["orgId"] == institution.org_id]


def registration(case: dict[str, Any], text: str = "En begrunnelse 👍 æøå") -> ExplanationRegistration:
    return ExplanationRegistration(
        case["examId"], case["personlopenr"], case["kandidatnr"], "1", date(2026, 1, 15), text
    )


def row(registry: FsDigexClient, case: dict[str, Any]) -> dict[str, Any]:
    rows = registry.explanation_rows(case["examId"])
    return next(one for one in rows if one["personlopenr"] == case["personlopenr"])


def test_all_changes_and_all_rows_are_read(registry: FsDigexClient, cases: list[dict[str, Any]]) -> None:
    changed = registry.changed_exams(LONG_AGO).exams
    assert {exam.vurd_id for exam in changed} == {case["examId"] for case in cases}
    assert [exam.changed_at for exam in changed] == sorted(exam.changed_at for exam in changed)
    assert all(exam.rows is None and exam.changed_at.tzinfo is UTC for exam in changed)
    rows = [
        ExplanationRequest.model_validate(one) for exam in changed for one in registry.explanation_rows(exam.vurd_id)
    ]
    assert {(one.vurd_id, one.personlopenr) for one in rows} == {
        (case["examId"], case["personlopenr"]) for case in cases
    }


def test_the_list_may_contain_whole_requests(
    registry: FsDigexClient, cases: list[dict[str, Any]], simulators: RunningSimulators
) -> None:
    as_exams = list(registry.changed_exams(LONG_AGO).exams)
    simulators.control.modes(fs_list_shape="requests")
    as_requests = registry.changed_exams(LONG_AGO).exams
    assert [replace(exam, rows=None) for exam in as_requests] == as_exams
    rows = [one for exam in as_requests for one in exam.rows or ()]
    assert {(one["examId"], one["personlopenr"]) for one in rows} == {
        (case["examId"], case["personlopenr"]) for case in cases
    }


@pytest.mark.parametrize("shape", ["exams", "requests"])
def test_lines_that_come_twice_count_once(registry: FsDigexClient, simulators: RunningSimulators, shape: str) -> None:
    simulators.control.modes(fs_list_shape=shape)
    once = registry.changed_exams(LONG_AGO)
    simulators.control.modes(fs_duplicates=True)
    assert registry.changed_exams(LONG_AGO) == once


def test_changes_from_siden_on_are_read_and_older_ones_are_not(registry: FsDigexClient) -> None:
    newest = registry.changed_exams(LONG_AGO).exams[-1]
    assert newest in registry.changed_exams(newest.changed_at).exams
    assert newest not in registry.changed_exams(newest.changed_at + timedelta(seconds=1)).exams


def test_the_format_of_siden_is_a_setting(
    world: SimulatedWorld, institution: Institution, registry: FsDigexClient, simulators: RunningSimulators
) -> None:
    simulators.control.modes(fs_siden="date")
    with pytest.raises(PermanentError) as caught:
        registry.changed_exams(LONG_AGO)
    assert caught.value.code == "fs.list_refused"
    assert world.registry(institution, siden_format="%d.%m.%Y").changed_exams(LONG_AGO).exams


def test_further_parameters_are_sent(
    world: SimulatedWorld, institution: Institution, simulators: RunningSimulators
) -> None:
    world.registry(institution, extra_parameters={"type": "BEGRUNN"}).changed_exams(LONG_AGO)
    [call] = simulators.control.requests_log(system="fs", limit=1)
    assert f"institusjonsnr={institution.institusjonsnr}&siden=2020-01-01T01%3A00%3A00&type=BEGRUNN" == call["query"]


def test_an_explanation_is_registered_once_however_often_it_is_sent(
    registry: FsDigexClient, cases: list[dict[str, Any]], simulators: RunningSimulators
) -> None:
    registry.register_explanation(registration(cases[0]))
    registry.register_explanation(registration(cases[0]))
    registered = row(registry, cases[0])
    assert registered["datoVedtakFormidlet"] == "2026-01-15"
    assert registered["begrunnelse"]["tekst"] == "En begrunnelse 👍 æøå"
    assert registered["begrunnelse"]["format"] == "text/plain"
    summary = simulators.control.summary()
    assert (summary["registered"], summary["repeated_posts"]) == (1, 1)


def test_control_characters_are_left_out_and_counted_in_the_log(
    registry: FsDigexClient, cases: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    registry.register_explanation(registration(cases[0], "Godt\x00 svar\x0b\r\n\tmen \ud800kort"))
    assert row(registry, cases[0])["begrunnelse"]["tekst"] == "Godt svar\r\n\tmen kort"
    assert "3 control characters" in caplog.text
    assert "svar" not in caplog.text


@pytest.mark.parametrize(("text", "code"), [(" \n", "fs.text_empty"), ("æ" * 6, "fs.text_too_long")])
def test_a_text_that_fs_cannot_take_is_not_sent(
    world: SimulatedWorld,
    institution: Institution,
    cases: list[dict[str, Any]],
    simulators: RunningSimulators,
    text: str,
    code: str,
) -> None:
    calls = simulators.control.summary()["calls"]["fs"]
    with pytest.raises(PermanentError) as caught:
        world.registry(institution, maximum_text_bytes=10).register_explanation(registration(cases[0], text))
    assert caught.value.code == code
    assert simulators.control.summary()["calls"]["fs"] == calls


def test_a_case_that_was_finished_by_hand_needs_a_person(
    registry: FsDigexClient, cases: list[dict[str, Any]], simulators: RunningSimulators
) -> None:
    simulators.control.withdraw(cases[0]["caseId"], text="Skrevet i FS")
    with pytest.raises(PermanentError) as caught:
        registry.register_explanation(registration(cases[0]))
    assert caught.value.code == "fs.finished_otherwise"
    assert row(registry, cases[0])["begrunnelse"]["tekst"] == "Skrevet i FS"


UNKNOWN_EXAM = base64.urlsafe_b64encode("901||NONE||1||S||2025||HØST".encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "call",
    [
        lambda registry, case: registry.explanation_rows(UNKNOWN_EXAM),
        lambda registry, case: registry.register_explanation(registration({**case, "examId": UNKNOWN_EXAM})),
    ],
)
def test_an_unknown_exam_is_a_permanent_error(
    registry: FsDigexClient, cases: list[dict[str, Any]], call: Callable[[FsDigexClient, dict[str, Any]], object]
) -> None:
    with pytest.raises(PermanentError) as caught:
        call(registry, cases[0])
    assert caught.value.code == "fs.exam_unknown"


def test_a_forbidden_institution_number_pauses_the_institution(world: SimulatedWorld, institution: Institution) -> None:
    stranger = institution.model_copy(update={"institusjonsnr": 999})
    with pytest.raises(AuthBrokenError) as caught:
        world.registry(stranger).changed_exams(LONG_AGO)
    assert caught.value.code == "fs.forbidden"


def test_refused_credentials_pause_the_institution(
    registry: FsDigexClient, institution: Institution, cases: list[dict[str, Any]], simulators: RunningSimulators
) -> None:
    registry.check_credentials()
    simulators.control.credentials(institution.org_id, "fs", valid=False)
    for call in (
        registry.check_credentials,
        lambda: registry.changed_exams(LONG_AGO),
        lambda: registry.explanation_rows(cases[0]["examId"]),
        lambda: registry.register_explanation(registration(cases[0])),
    ):
        with pytest.raises(AuthBrokenError) as caught:
            call()
        assert caught.value.code == "fs.credentials_refused"
    simulators.control.credentials(institution.org_id, "fs", valid=True)
    registry.check_credentials()


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "drop"},
        {"kind": "status", "status": 502},
        {"kind": "html"},
        {"kind": "empty"},
        {"kind": "invalid_json"},
    ],
    ids=lambda rule: rule["kind"],
)
@pytest.mark.parametrize("after_effect", [False, True])
def test_a_registration_whose_answer_was_lost_is_repeated_without_harm(
    registry: FsDigexClient,
    cases: list[dict[str, Any]],
    simulators: RunningSimulators,
    rule: dict[str, Any],
    after_effect: bool,
) -> None:
    simulators.control.faults({"system": "fs", "method": "POST", "times": 1, "after_effect": after_effect, **rule})
    with pytest.raises(TransientError):
        registry.register_explanation(registration(cases[0]))
    registry.register_explanation(registration(cases[0]))
    summary = simulators.control.summary()
    assert (summary["registered"], summary["registrations"]) == (1, 1)


# What the simulator never answers, because it follows the contract.
