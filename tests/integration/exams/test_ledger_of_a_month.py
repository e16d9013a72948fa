"""To which month a request belongs, and that no change of a row in FS looks like a loss."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest

from casebridge.exams.fs_values import OSLO
from tests.integration.conftest import Operator, checks_of, metadata_of
from tests.support.world import World

Operators = Callable[..., Operator]


@pytest.fixture(params=["exams", "requests"])
def list_shape(request: pytest.FixtureRequest, world: World) -> str:
    """FS lists exams or whole requests (contract 3.3 allows both)."""
    world.control.modes(fs_list_shape=request.param)
    return str(request.param)


def start(world: World, operator: Operators) -> tuple[Operator, str, str]:
    """An operator and an institution without requests, with its name and orgId."""
    ui = operator(institutions=1, courses=1, requests=0, variety=False)
    (institution,) = world.process().stores.institutions.active()
    return ui, institution.key, institution.org_id


def ledger(ui: Operator, institution: str, month: str) -> dict[str, Any]:
    """The counts of a month. Nothing may be lost in any of them."""
    result = ui.materialise(institution, month)
    assert result.success
    account = metadata_of(result, "request_ledger")
    assert account["lost"] == 0
    assert checks_of(result)["ledger_balances"].passed
    return account


@pytest.mark.parametrize(
    ("months", "summer"),
    [(("2026-06", "2026-07", "2026-08"), True), (("2025-12", "2026-01", "2026-02"), False)],
    ids=["summer time", "winter time"],
)
@pytest.mark.parametrize("spelling", ["day", "UTC", "Norwegian"])
@pytest.mark.usefixtures("list_shape")
def test_a_row_of_the_first_at_0_40_is_in_exactly_one_month(
    spelling: str, months: tuple[str, str, str], summer: bool, world: World, operator: Operators
) -> None:
    ui, institution, org_id = start(world, operator)
    asked_at = datetime.fromisoformat(f"{months[1]}-01T00:40:00").replace(tzinfo=OSLO)
    assert bool(asked_at.dst()) is summer
    spelt: dict[str, dict[str, str]] = {
        "day": {},
        "UTC": {"datoKlageMottat": asked_at.astimezone(UTC).isoformat()},
        "Norwegian": {"datoKlageMottat": asked_at.strftime("%d.%m.%Y 00:40")},
    }
    world.control.add_request(
        org_id, datoKlageMottat=asked_at.date().isoformat(), sistEndret=asked_at.isoformat(), raw=spelt[spelling]
    )

    accounts = [ledger(ui, institution, month) for month in months]

    assert [account["fs_total"] for account in accounts] == [0, 1, 0]
    assert [account["accepted_now"] for account in accounts] == [0, 1, 0]
    queries = [parse_qs(call["query"]) for call in world.control.requests_log("fs")]
    asked = [query["siden"][0] for query in queries if "siden" in query]
    assert asked == [f"{month}-01T00:00:00" for month in months], "Oslo's midnight, in winter as in summer"


@pytest.mark.usefixtures("list_shape")
def test_a_row_that_fs_sends_twice_counts_once(world: World, operator: Operators) -> None:
    ui, institution, org_id = start(world, operator)
    for _ in range(2):
        world.control.add_request(org_id, datoKlageMottat="2026-09-14")
    world.control.modes(fs_duplicates=True)

    first = ledger(ui, institution, "2026-09")
    assert (first["fs_open"], first["accepted_now"], first["pending"]) == (2, 2, 2)
    world.carry(world.process())
    after = ledger(ui, institution, "2026-09")
    assert (after["fs_total"], after["registered"], after["accepted_now"]) == (2, 2, 0)
    assert world.control.summary()["registered_twice"] == 0


@pytest.mark.parametrize("moment", ["before it is sent", "while the assessor writes", "after it is registered"])
@pytest.mark.usefixtures("list_shape")
def test_a_date_that_is_corrected_moves_the_row_to_the_other_month(
    moment: str, world: World, operator: Operators
) -> None:
    """The date moves from September to October and back. Each reading has the row in one month, and nobody is asked twice."""
    ui, institution, org_id = start(world, operator)
    stays = world.control.add_request(org_id, datoKlageMottat="2026-09-14")
    moved = world.control.add_request(org_id, datoKlageMottat="2026-09-30")
    assert ledger(ui, institution, "2026-09")["accepted_now"] == 2
    process = world.process()
    if moment == "while the assessor writes":
        world.control.assessors(paused=True)
        world.send(process)
    elif moment == "after it is registered":
        world.carry(process)

    for day, of_september in (("2026-10-01", 1), ("2026-09-30", 2)):
        world.control.change(moved["caseId"], raw={"datoKlageMottat": day}, expected="registered")
        september = ledger(ui, institution, "2026-09")
        october = ledger(ui, institution, "2026-10")
        assert (september["fs_total"], october["fs_total"]) == (of_september, 2 - of_september)

    world.control.assessors(paused=False)
    world.carry_until(process, lambda: world.control.summary()["registered"] == 2, "both are registered")
    ledger(ui, institution, "2026-09")
    registered = {case["caseId"]: case["registrations"] for case in world.control.cases()}
    assert registered == {stays["caseId"]: 1, moved["caseId"]: 1}
    assert world.control.summary()["dispatched"] == 2
