"""What a row of `make bench` says, and what may be asked for."""

import pytest

from bench.call_log import METHODS
from bench.command import wanted
from bench.full_sync import calls_of
from bench.processor_time import Shares
from bench.row import Goal, Pair, row_of


def test_a_ratio_is_the_median_of_the_runs_own_ratios() -> None:
    row = row_of(
        "a row", "s", [Pair(1.0, 1.0), Pair(30.0, 10.0), Pair(2.0, 1.0)], "a peer", "", "", Goal("ratio", "<=", 1.9)
    )
    assert (row.ours, row.peer, row.ratio, row.runs) == (2.0, 1.0, 2.0, 3)
    assert (row.goal, row.met) == ("ratio <= 1.9", False)


def test_a_goal_for_our_own_figure_needs_no_peer() -> None:
    assert row_of("a row", "ms", [Pair(249.0, None)], "nobody", "", "", Goal("ours", "<=", 250.0)).met is True


def test_what_binds_is_named_from_the_processor_time() -> None:
    assert str(Shares({"casebridge": 0.93, "MongoDB server": 0.3})).startswith("processor: casebridge (casebridge 93%")
    assert str(Shares({"casebridge": 0.2})).startswith("waiting (")
    assert str(Shares({"casebridge": 0.1, "other programs": 0.9})).startswith("waiting (other programs 90%")
    assert str(Shares({"casebridge": 90.0, "other programs": 90.0})).startswith("all cores (")


def test_the_bound_of_a_synchronisation_counts_the_calls_of_the_slow_systems() -> None:
    assert calls_of({"fs GET /a": 36, "wiseflow GET /comments": 1, "wiseflow POST /b": 34, "laas POST /c": 9}) == 71


def test_the_sizes_come_from_the_environment() -> None:
    asked = wanted({"ONLY": "growth", "GROWTH": "1000000", "SYNC": "10000"})
    assert asked.names == ("growth",)
    assert asked.sizes.stored == (10_000, 100_000, 1_000_000)
    assert asked.sizes.sync_requests == 10_000


@pytest.mark.parametrize("environment", [{"ONLY": "no such row"}, {"GROWTH": "many"}, {"SYNC": "0"}])
def test_what_cannot_be_measured_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(SystemExit):
        wanted(environment)


NO_CALL_OF_A_CASE = {"close", "check_text", "check_credentials", "renew_credential"}
THROUGH_ANOTHER = {"fresh_rows"}


@pytest.mark.parametrize("client", METHODS)
def test_the_bare_calls_are_all_that_a_client_can_make_for_a_case(client: type) -> None:
    """A method that nobody listed would make the bare calls too few, and our own work look dearer than it is."""
    methods = {name for name, value in vars(client).items() if callable(value) and not name.startswith("_")}
    assert methods - NO_CALL_OF_A_CASE - THROUGH_ANOTHER == set(METHODS[client])
