"""What a row of `make bench` says, and which settings it accepts."""

import json

import pytest

from bench.call_log import METHODS
from bench.command import wanted
from bench.full_sync import calls_of
from bench.processor_time import ServerWait, Shares
from bench.row import Goal, Pair, row_of
from bench.writes import rows


def test_a_ratio_is_the_median_of_the_runs_own_ratios() -> None:
    row = row_of(
        "a row", "s", [Pair(1.0, 1.0), Pair(30.0, 10.0), Pair(2.0, 1.0)], "a peer", "", "", Goal("ratio", "<=", 1.9)
    )
    assert (row.ours, row.peer, row.ratio, row.runs) == (2.0, 1.0, 2.0, 3)
    assert (row.goal, row.met) == ("ratio <= 1.9", False)


def test_a_goal_for_our_own_figure_needs_no_peer() -> None:
    assert row_of("a row", "ms", [Pair(249.0, None)], "nobody", "", "", Goal("ours", "<=", 250.0)).met is True


def test_the_processor_times_say_what_limited_a_row() -> None:
    assert str(Shares({"casebridge": 0.93, "MongoDB server": 0.3})).startswith("processor: casebridge (casebridge 93%")
    assert str(Shares({"casebridge": 0.2})).startswith("waiting (")
    assert str(Shares({"casebridge": 0.1, "other programs": 0.9})).startswith("waiting (other programs 90%")
    assert str(Shares({"casebridge": 90.0, "other programs": 90.0})).startswith("all cores (")


def waits(under_way: float | None, command_ms: float | None, ping_ms: float) -> ServerWait:
    return ServerWait(ping_ms / 1000, under_way, None if command_ms is None else command_ms / 1000)


@pytest.mark.parametrize(
    ("cores", "wait", "bound"),
    [
        ({"casebridge": 0.2}, waits(0.9, 4.0, 0.5), "MongoDB server by address"),
        ({"casebridge": 0.2}, waits(0.9, 4.0, 3.0), "network"),
        ({"casebridge": 0.9}, waits(0.9, 4.0, 0.5), "processor: casebridge"),
        ({"casebridge": 0.3}, waits(0.2, 4.0, 0.5), "waiting"),
        ({"casebridge": 0.3}, waits(None, None, 0.5), "waiting"),
        ({"casebridge": 0.3, "other programs": 90.0}, waits(0.9, 4.0, 0.5), "all cores"),
    ],
)
def test_a_server_by_address_is_judged_by_the_wait_for_it(
    cores: dict[str, float], wait: ServerWait, bound: str
) -> None:
    shares = Shares(cores, wait)
    assert shares.bound == bound
    assert str(wait) in str(shares)
    assert Shares.from_json(json.loads(json.dumps(shares.as_json()))) == shares


def test_the_wait_of_several_runs_is_their_median_and_of_parts_their_mean() -> None:
    runs = [Shares({}, waits(part, part, 1.0)) for part in (0.2, 0.3, 1.0)]
    assert Shares.median([*runs, Shares({}, waits(None, None, 1.0))]).server == waits(0.3, 0.3, 1.0)
    parts = [Shares({}, waits(0.2, 2.0, 1.0)), Shares({}, waits(0.8, 4.0, 1.0))]
    assert Shares.mean([(parts[0], 3.0), (parts[1], 1.0)]).server == ServerWait(
        pytest.approx(0.001), pytest.approx(0.35), pytest.approx(0.0025)
    )


def test_a_row_of_writes_says_what_it_consists_of() -> None:
    counts = {
        "commands": {"find": 4, "insert": 20, "delete": 0},
        "documents": {"auditLog insert": 20, "meldingQ update": 10},
        "replayed": {"auditLog insert": 20, "meldingQ update": 9},
        "entries_changed": {"auditLog insert": 60},
        "entries_written": {"auditLog insert": 60, "meldingQ update": 45},
    }
    commands, documents, changed, written = rows("process", "message", counts, 10, "a server")
    assert (commands.name, commands.unit, commands.ours) == ("writes, process: commands", "1/message", 2.4)
    assert commands.details == {"insert": 2.0, "find": 0.4}
    assert commands.bound_by == "insert 2, find 0.4"
    assert documents.ours == 3.0
    assert (changed.ours, written.ours) == (6.0, 10.5)
    assert written.bound_by.endswith("(of 30 documents 1 were repeated otherwise)")


def test_the_bound_of_a_synchronisation_counts_the_calls_of_the_slow_systems() -> None:
    assert calls_of({"fs GET /a": 36, "wiseflow GET /comments": 1, "wiseflow POST /b": 34, "laas POST /c": 9}) == 71


def test_the_sizes_come_from_the_environment() -> None:
    asked = wanted({"ONLY": "growth", "GROWTH": "1000000", "SYNC": "10000"})
    assert asked.names == ("growth",)
    assert asked.sizes.stored == (10_000, 100_000, 1_000_000)
    assert asked.sizes.sync_requests == 10_000


@pytest.mark.parametrize("environment", [{"ONLY": "no such row"}, {"GROWTH": "many"}, {"SYNC": "0"}])
def test_sizes_that_cannot_be_measured_are_refused(environment: dict[str, str]) -> None:
    with pytest.raises(SystemExit):
        wanted(environment)


NO_CALL_OF_A_CASE = {"close", "check_text", "check_credentials", "renew_credential"}
THROUGH_ANOTHER = {"fresh_rows"}


@pytest.mark.parametrize("client", METHODS)
def test_the_bare_calls_include_every_call_that_a_client_makes_for_a_case(client: type) -> None:
    """With a method missing here, the bare calls would be too few and our own work would look more expensive than it is."""
    methods = {name for name, value in vars(client).items() if callable(value) and not name.startswith("_")}
    assert methods - NO_CALL_OF_A_CASE - THROUGH_ANOTHER == set(METHODS[client])
