"""Faults on demand: what each does to a connection, which calls it affects, and that a seed fixes which calls are drawn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from simulators.process import RunningSimulators, running
from tests.support.simulator_callers import FsCaller, WiseflowCaller, fs_of, registration, wiseflow_of

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def simulators() -> Iterator[RunningSimulators]:
    with running(seed=13) as started:
        yield started


@pytest.fixture
def world(simulators: RunningSimulators) -> Iterator[dict[str, Any]]:
    simulators.control.assessors(minimum_delay_s=0, maximum_delay_s=0)
    yield simulators.control.population(institutions=2, courses=2, requests=4, seed=13, variety=False)
    simulators.control.clear_faults()


@pytest.fixture
def fs(simulators: RunningSimulators, world: dict[str, Any]) -> FsCaller:
    return fs_of(simulators, world["institutions"][0])


@pytest.fixture
def wiseflow(simulators: RunningSimulators, world: dict[str, Any]) -> WiseflowCaller:
    return wiseflow_of(simulators, world["institutions"][0])


@pytest.fixture
def case(simulators: RunningSimulators, fs: FsCaller) -> dict[str, Any]:
    return simulators.control.add_request(fs.institution["orgId"])


def test_drop_closes_the_connection_without_an_answer_and_without_an_effect(
    simulators: RunningSimulators, wiseflow: WiseflowCaller, case: dict[str, Any]
) -> None:
    wiseflow.credentials()
    simulators.control.faults({"system": "wiseflow", "kind": "drop", "method": "POST", "times": 1})
    with pytest.raises(requests.ConnectionError):
        wiseflow.request_explanation(case["flowId"], case["participantId"])
    assert simulators.control.summary()["dispatched"] == 0
    assert wiseflow.request_explanation(case["flowId"], case["participantId"]).status_code == 201


def test_drop_after_effect_leaves_the_effect(
    simulators: RunningSimulators, wiseflow: WiseflowCaller, case: dict[str, Any]
) -> None:
    wiseflow.credentials()
    simulators.control.faults({"system": "wiseflow", "kind": "drop", "times": 1, "after_effect": True})
    with pytest.raises(requests.ConnectionError):
        wiseflow.request_explanation(case["flowId"], case["participantId"])
    assert simulators.control.summary()["dispatched"] == 1
    assert wiseflow.request_explanation(case["flowId"], case["participantId"]).status_code == 200


@pytest.mark.parametrize(("after_effect", "registered"), [(False, 0), (True, 1)])
def test_status_before_and_after_the_effect(
    simulators: RunningSimulators, fs: FsCaller, case: dict[str, Any], *, after_effect: bool, registered: int
) -> None:
    (row,) = fs.rows(case["examId"])
    simulators.control.faults(
        {"system": "fs", "kind": "status", "status": 500, "method": "POST", "after_effect": after_effect}
    )
    answer = fs.register(registration(case["examId"], row, "Tekst."))
    assert (answer.status_code, answer.content) == (500, b"")
    assert simulators.control.summary()["registered"] == registered


def test_status_can_say_when_to_come_back(simulators: RunningSimulators, fs: FsCaller) -> None:
    simulators.control.faults({"system": "fs", "kind": "status", "status": 429, "retry_after": 7})
    answer = fs.get("/versjon")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")


@pytest.mark.parametrize(
    ("kind", "status", "media_type", "beginning"),
    [
        ("html", 200, "text/html; charset=utf-8", b"<!DOCTYPE html>"),
        ("empty", 200, None, b""),
        ("invalid_json", 200, "application/json", b'{"data": [{"id": 1,'),
        ("not_found_body", 404, "text/html; charset=utf-8", b"<h1>404"),
    ],
)
def test_faults_that_send_broken_answers(
    simulators: RunningSimulators, fs: FsCaller, kind: str, status: int, media_type: str | None, beginning: bytes
) -> None:
    simulators.control.faults({"system": "fs", "kind": kind})
    answer = fs.changed_since()
    assert (answer.status_code, answer.headers.get("Content-Type")) == (status, media_type)
    assert answer.content.startswith(beginning)


def test_an_expired_token_stays_expired(
    simulators: RunningSimulators, wiseflow: WiseflowCaller, case: dict[str, Any]
) -> None:
    path = f"/flow/{case['flowId']}"
    assert wiseflow.call("GET", path).status_code == 200
    simulators.control.faults({"system": "wiseflow", "kind": "expired_token", "times": 1})
    assert [wiseflow.call("GET", path).status_code for _ in range(2)] == [401, 401]
    wiseflow.token = None
    assert wiseflow.call("GET", path).status_code == 200


@pytest.mark.parametrize("kind", ["latency", "slow_body"])
def test_a_slow_answer_is_complete_and_right(simulators: RunningSimulators, fs: FsCaller, kind: str) -> None:
    simulators.control.faults({"system": "fs", "kind": kind, "seconds": 0.3})
    started = time.monotonic()
    assert "versjon" in fs.get("/versjon").json()
    assert time.monotonic() - started >= 0.29


def test_a_rule_affects_only_the_calls_that_it_names(simulators: RunningSimulators, world: dict[str, Any]) -> None:
    here, there = (fs_of(simulators, one) for one in world["institutions"])
    simulators.control.faults(
        {"system": "fs", "kind": "status", "orgId": here.institution["orgId"], "path": "/versjon$", "method": "get"}
    )
    assert here.get("/versjon").status_code == 503
    assert here.changed_since().status_code == 200
    assert there.get("/versjon").status_code == 200


def test_draws_are_fixed_by_the_seed(simulators: RunningSimulators, fs: FsCaller) -> None:
    rule = {"system": "fs", "kind": "status", "probability": 0.5}

    def statuses() -> list[int]:
        simulators.control.faults(rule)
        return [fs.get("/versjon").status_code for _ in range(40)]

    first = statuses()
    assert set(first) == {200, 503}
    assert statuses() == first
    assert simulators.control.faults_in_force()[0]["struck"] == first.count(503)


def test_faults_end_when_they_are_cleared(simulators: RunningSimulators, fs: FsCaller) -> None:
    simulators.control.faults({"system": "fs", "kind": "status"})
    assert fs.get("/versjon").status_code == 503
    simulators.control.clear_faults()
    assert fs.get("/versjon").status_code == 200


@pytest.mark.parametrize(
    "rule", [{"system": "fs", "kind": "gremlin"}, {"kind": "drop"}, {"system": "fs", "kind": "drop", "path": "("}]
)
def test_an_invalid_rule_is_refused(simulators: RunningSimulators, rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        simulators.control.faults(rule)
