"""The simulated population: fixed by its seed, varied like real institutions, with the numbers that it was ordered with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from simulators.exam_case import deadline_after
from simulators.process import RunningSimulators, running

pytestmark = pytest.mark.contract

DAY = "2026-01-14"


@pytest.fixture(scope="module")
def simulators() -> Iterator[RunningSimulators]:
    with running() as started:
        yield started


def bytes_of(simulators: RunningSimulators, **order: Any) -> bytes:
    """A population and all its cases as bytes, without the times at which cases became visible."""
    made = simulators.control.population(today=DAY, **order)
    cases = [{name: value for name, value in row.items() if name != "visibleAt"} for row in simulators.control.cases()]
    return json.dumps([made, cases]).encode()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(simulators: RunningSimulators) -> None:
    first = bytes_of(simulators, seed=5, hold=False)
    assert bytes_of(simulators, seed=6, hold=False) != first
    assert bytes_of(simulators, seed=5, hold=False) == first


def test_the_same_seed_gives_the_same_bytes_in_another_process(simulators: RunningSimulators) -> None:
    with running(seed=99) as other:
        assert bytes_of(other, seed=5) == bytes_of(simulators, seed=5)


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"institutions": 1, "courses": 1, "requests": 1},
        {"institutions": 3, "courses": 7, "requests": 41},
        {"institutions": 30, "courses": 20, "requests": 15},
        {"requests": 2000, "courses": 100},
        {"requests": 0},
    ],
)
def test_the_population_has_what_was_ordered(simulators: RunningSimulators, order: dict[str, int]) -> None:
    made = simulators.control.population(**order)
    wanted = {"institutions": 12, "requests": 600} | order
    expected = made["expected"]
    assert len(made["institutions"]) == wanted["institutions"]
    assert made["requests"] == wanted["requests"] == len(simulators.control.cases())
    assert expected["registered"] + sum(expected["set_aside"].values()) == wanted["requests"]
    assert len({one["orgId"] for one in made["institutions"]}) == wanted["institutions"]


def test_two_to_three_in_a_hundred_are_unusual(simulators: RunningSimulators) -> None:
    made = simulators.control.population(requests=600)
    set_aside = made["expected"]["set_aside"]
    assert set(set_aside) == {"no_candidate", "no_flow", "two_flows", "explanations_off"}
    assert 0.02 <= sum(set_aside.values()) / 600 <= 0.03
    assert simulators.control.population(requests=600, oddities=False)["expected"]["set_aside"] == {}


def test_institutions_differ_in_every_way_that_must_be_configured(simulators: RunningSimulators) -> None:
    institutions = simulators.control.population()["institutions"]
    settings = [one["settings"] for one in institutions]
    assert Counter(one["wiseflow"]["auth"] for one in institutions) == {"oauth2": 11, "api_key": 1}
    for name, values in {
        "answer_state": {2, 3},
        "show_justification": {True, False},
        "participants_endpoint": {"new", "old"},
        "flow_search": {"sources", "sis_flows"},
    }.items():
        assert {one[name] for one in settings} == values
    plain = simulators.control.population(variety=False)["institutions"]
    assert len({json.dumps(one["settings"]) for one in plain}) == 1


def test_a_candidate_number_means_nothing_outside_its_exam(simulators: RunningSimulators) -> None:
    simulators.control.population(today=DAY)
    cases = simulators.control.cases()
    inside = Counter((row["examId"], row["kandidatnr"]) for row in cases)
    clients = Counter(row["kandidatnr"] for row in cases)
    assert max(inside.values()) == 1
    assert max(clients.values()) > 1
    assert max(Counter((row["examId"], row["personlopenr"]) for row in cases).values()) == 1


def test_requests_are_spread_over_the_days_and_due_two_weeks_later(simulators: RunningSimulators) -> None:
    simulators.control.population(today=DAY, days=5)
    cases = simulators.control.cases()
    received = {date.fromisoformat(row["datoKlageMottat"]) for row in cases}
    assert received == {date(2026, 1, day) for day in range(10, 15)}
    for row in cases:
        due = date.fromisoformat(row["frist"])
        assert due.weekday() < 5
        assert 14 <= (due - date.fromisoformat(row["datoKlageMottat"])).days <= 16


@pytest.mark.parametrize(
    ("received", "deadline"),
    [("2026-01-08", "2026-01-22"), ("2026-01-10", "2026-01-26"), ("2026-01-11", "2026-01-26")],
)
def test_a_deadline_on_a_weekend_moves_to_monday(received: str, deadline: str) -> None:
    assert deadline_after(date.fromisoformat(received)) == date.fromisoformat(deadline)


def test_an_invalid_order_is_refused(simulators: RunningSimulators) -> None:
    for order in ({"institutions": 0}, {"colour": "red"}, {"today": "tomorrow"}):
        with pytest.raises(ValueError, match=r".+"):
            simulators.control.population(**order)
