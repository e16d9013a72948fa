"""The backfill by institution and month: each partition can run alone and be repeated, and its counts add up."""

from collections.abc import Callable

from tests.integration.conftest import Operator, checks_of, failures_of, metadata_of
from tests.support.world import World

Operators = Callable[..., Operator]


def month_of(world: World, org_id: str) -> str:
    """The month with most requests of the institution."""
    months = [case["datoKlageMottat"][:7] for case in world.control.cases() if case["orgId"] == org_id]
    return max(set(months), key=months.count)


def asked_in(world: World, org_id: str, month: str) -> int:
    return sum(case["orgId"] == org_id and case["datoKlageMottat"][:7] == month for case in world.control.cases())


def test_a_month_is_read_again_and_missed_requests_are_accepted_once(world: World, operator: Operators) -> None:
    ui = operator(institutions=1, courses=3, requests=12)
    (institution,) = world.process().stores.institutions.active()
    month = month_of(world, institution.org_id)
    expected = asked_in(world, institution.org_id, month)

    first = metadata_of(ui.materialise(institution.key, month), "request_ledger")
    again = metadata_of(ui.materialise(institution.key, month), "request_ledger")

    assert (first["fs_total"], first["accepted_now"], first["pending"], first["lost"]) == (
        expected,
        expected,
        expected,
        0,
    )
    assert (again["fs_total"], again["accepted_now"], again["pending"], again["lost"]) == (expected, 0, expected, 0)


def test_after_the_work_is_done_the_ledger_shows_where_each_request_is(world: World, operator: Operators) -> None:
    ui = operator(institutions=1, courses=3, requests=12)
    (institution,) = world.process().stores.institutions.active()
    world.control.add_request(institution.org_id, oddity="no_candidate")
    assert ui.run("sync_now").success
    month = month_of(world, institution.org_id)

    result = ui.materialise(institution.key, month)

    account = metadata_of(result, "request_ledger")
    assert account["registered"] == account["fs_finished"]
    assert (
        account["registered"] + account["set_aside"]
        == account["fs_total"]
        == asked_in(world, institution.org_id, month)
    )
    balances = checks_of(result)["ledger_balances"]
    assert balances.passed
    assert balances.partition == f"{institution.key}|{month}"


def test_a_month_without_requests_adds_up_too(world: World, operator: Operators) -> None:
    ui = operator(institutions=1)
    (institution,) = world.process().stores.institutions.active()

    result = ui.materialise(institution.key, "2025-01")

    assert result.success
    assert metadata_of(result, "request_ledger")["fs_total"] == 0


def test_one_institution_that_fails_neither_hides_nor_stops_the_others(world: World, operator: Operators) -> None:
    ui = operator(institutions=2, courses=4, requests=16)
    broken, well = world.process().stores.institutions.active()
    world.control.credentials(broken.org_id, "fs", valid=False)

    failed = ui.materialise(broken.key, month_of(world, broken.org_id))
    paused = ui.materialise(broken.key, month_of(world, broken.org_id))
    read = ui.materialise(well.key, month_of(world, well.org_id))

    assert "Next:" in failures_of(failed)["request_ledger"]
    assert broken.key in failures_of(failed)["request_ledger"]
    assert "paused" in failures_of(paused)["request_ledger"]
    assert read.success
    materialised = ui.instance.get_materialized_partitions(
        read.asset_materializations_for_node("request_ledger")[0].asset_key
    )
    assert materialised == {f"{well.key}|{month_of(world, well.org_id)}"}
