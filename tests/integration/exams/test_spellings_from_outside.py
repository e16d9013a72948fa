"""Unusual but harmless spellings from outside: names, numbers, keys and documents, each from the source to the answer."""

from dataclasses import replace
from typing import Any

import pytest

from casebridge.exams.exam_key import ExamKey
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from resources.wiring.process import Process
from tests.support.added_cases import codes
from tests.support.explanation_rounds import poll_answers
from tests.support.world import World


@pytest.fixture
def process(world: World) -> Process:
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    return world.process()


def org(world: World) -> str:
    return str(world.control.cases()[0]["orgId"])


def state_of(world: World, added: dict[str, Any]) -> str:
    return next(case["state"] for case in world.control.cases() if case["caseId"] == added["caseId"])


ROWS: dict[str, Any] = {
    "number as text": lambda c: {"kandidatnr": str(c["kandidatnr"]), "personlopenr": str(c["personlopenr"])},
    "number with leading zeros": lambda c: {"kandidatnr": f"000{c['kandidatnr']}"},
    "number with spaces": lambda c: {"kandidatnr": f" {c['kandidatnr']}\u00a0"},
    "number in full width": lambda c: {"kandidatnr": "".join(chr(ord(d) + 0xFEE0) for d in str(c["kandidatnr"]))},
    "number as float": lambda c: {"kandidatnr": float(c["kandidatnr"])},
    "date with zone": lambda c: {"datoKlageMottat": "2026-11-20Z"},
    "date with offset": lambda c: {"datoKlageMottat": "2026-11-20+01:00"},
    "date and time": lambda c: {"datoKlageMottat": "2026-11-20T10:11:12.123+01:00"},
    "norwegian date": lambda c: {"datoKlageMottat": "20.11.2026", "frist": "4.12.2026"},
    "commission as number": lambda c: {"kommisjonsId": 1},
}


@pytest.mark.parametrize("raw", ROWS.values(), ids=ROWS)
def test_a_row_in_another_spelling_is_registered(raw: Any, world: World, process: Process) -> None:
    added = world.control.add_request(org(world), hold=True)
    world.control.change(added["caseId"], raw=raw(added), expected="registered")
    world.control.release()
    world.carry(process)
    assert (codes(process), state_of(world, added)) == ({}, "registered")
    assert world.control.summary()["wrong_text"] == 0


def feide(name: str) -> Any:
    def written(user: str, realm: str) -> list[dict[str, str]]:
        values = {"user": user, "realm": realm, "USER": user.upper(), "REALM": realm.upper()}
        return [{"name": "Feide", "value": name.format(**values)}]

    return written


NAMES: dict[str, Any] = {
    "capitals": feide("{USER}@{REALM}"),
    "trailing dot": feide("{user}@{realm}."),
    "prefix of Feide": feide("feide:{user}@{realm}"),
    "white space": feide(" {user} @ {realm}\u00a0"),
    "zero width": feide("\u200b{user}@{realm}\ufeff"),
    "twice": lambda user, realm: [{"name": "Feide", "value": f"{user}@{realm}"}] * 2,
    "several": lambda user, realm: [
        {"name": "feide", "value": f"{user}2@x.no"},
        {"name": "FEIDE ", "value": f"{user}@{realm}"},
    ],
    "none": lambda user, realm: [],
    "without value": lambda user, realm: [{"name": "Feide"}, {"name": "FS", "value": ""}],
    "null": lambda user, realm: [{"name": "Feide", "value": None}, {"name": None, "value": "x"}],
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_a_name_in_another_spelling_is_the_same_name(names: Any, world: World, process: Process) -> None:
    added = world.control.add_request(org(world), hold=True)
    world.control.change(added["caseId"], brukernavn="kari.n", externalIds=names("kari.n", org(world)))
    world.control.release()
    world.carry(process)
    assert (codes(process), state_of(world, added)) == ({}, "registered")


MALFORMED_CASES: dict[str, dict[str, Any]] = {
    "no exam system": {"examSystem": None},
    "no flow": {"flowId": None},
    "a flow that is a text": {"flowId": "x"},
    "no request": {"explanationRequestId": None},
    "no correlation id": {"correlationId": None},
    "no number": {"kandidatnr": None},
    "no exam": {"vurdId": None},
    "an exam that is a number": {"vurdId": 5},
    "no person": {"personlopenr": None},
    "no times": {"openedAt": None, "deadline": None},
}


@pytest.mark.parametrize("missing", [True, False], ids=["missing", "malformed"])
@pytest.mark.parametrize("values", MALFORMED_CASES.values(), ids=MALFORMED_CASES)
def test_a_malformed_case_stops_no_other(values: dict[str, Any], missing: bool, world: World, process: Process) -> None:
    world.control.assessors(paused=True)
    good = world.control.add_request(org(world))
    world.send(process)
    bad = dict(world.database.cases.find_one({"personlopenr": good["personlopenr"]}) or {})
    elsewhere = ExamKey.from_vurd_id(good["examId"])
    elsewhere = replace(elsewhere, emnekode="ANNET1")  # else reading the exam would withdraw the case
    bad |= {"_id": "bad", "correlationId": "bad", "personlopenr": 99, "vurdId": elsewhere.vurd_id, **values}
    if missing:
        bad = {name: value for name, value in bad.items() if name not in values}
    world.database.cases.insert_one(bad)
    world.control.assessors(paused=False)
    world.carry(process)
    poll_answers(process, process.stores.institutions.active(), also_answered=True)
    process.operators.status.read()
    assert state_of(world, good) == "registered"


def test_an_institution_in_another_spelling_is_known_to_operators(world: World, process: Process) -> None:
    world.database.environments.update_many({}, [{"$set": {"orgId": {"$toUpper": "$orgId"}, "env": "TEST "}}])
    mine = world.process()
    (institution,) = mine.stores.institutions.active()
    for name in (institution.key, institution.key.upper()):
        assert mine.operators.dead_letters.find(DeadLetterFilter(institution=name), 5).found == 0


def test_a_replay_uses_a_field_that_fs_sends_later(world: World, process: Process) -> None:
    """The next action of `fs.source_code_part_missing`."""
    template = "{institusjonsnr}||{emnekode}||{versjonskode}||{vurderingsordning}||{arstall}||{vurdtidkode}"
    added = world.control.add_request(org(world), hold=True)
    world.database.orgs.update_many(
        {}, {"$set": {"wiseflow.sourceCode": template.replace("{vurdkombkode}", "{vurderingsordning}")}}
    )
    world.control.release()
    mine = world.process()
    world.carry(mine)
    assert set(codes(mine)) == {"fs.source_code_part_missing"}
    for case in world.control.cases():
        key = ExamKey.from_vurd_id(case["examId"])
        world.control.change(case["caseId"], raw={"vurderingsordning": key.vurdkombkode})
    mine.operators.dead_letters.replay(DeadLetterFilter(), Order(dry_run=False, reason="sent", asked_by="test"))
    world.carry(mine)
    assert (codes(mine), state_of(world, added)) == ({}, "registered")
