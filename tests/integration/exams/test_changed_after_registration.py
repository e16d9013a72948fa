"""The student of a finished row is compared with the person for whom the text was registered. Each change is alerted once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest

from casebridge.clock import ServerClock
from casebridge.exams.explanations.exam_intake import ExamRows
from casebridge.exams.models import ExplanationRequest
from casebridge.institutions.institution import Institution
from resources.wiring.process import Process
from tests.integration.exams.test_between_two_polls import ALL, check_no_text_of_another_student, read
from tests.integration.exams.test_polls_of_fs import intake
from tests.support.added_cases import add, case_of, ours
from tests.support.explanation_rounds import poll_answers
from tests.support.shifted_clock import ShiftedClock
from tests.support.world import World

CODE: Final = "case.changed_after_registration"
IDENTITY: Final[dict[str, Any]] = {"kandidatnr": 987654, "brukernavn": "another.person"}
"""Fields of a row that say who the student is, besides the FS number, with other values for them."""
DATED: Final[dict[str, Any]] = {
    "kommisjonsId": "2", "datoKlageMottat": "2026-01-02", "datoVedtakFormidlet": "2026-02-02", "frist": "2031-01-15",
    "vurderingsordning": "X", "tid": "HØST",
}  # fmt: skip
"""Fields that say something else, with other values."""


@pytest.fixture
def clock(world: World) -> ShiftedClock:
    return ShiftedClock(ServerClock(world.database.server_time))


@pytest.fixture
def process(world: World, clock: ShiftedClock) -> Process:
    world.populate(institutions=1, courses=1, requests=1, variety=False)
    return world.process(clock)


@pytest.fixture
def institution(process: Process) -> Institution:
    (institution,) = process.stores.institutions.active()
    return institution


def alerted(world: World, process: Process, clock: ShiftedClock) -> list[str]:
    """The cases that are alerted now, after one hour has passed."""
    before = len(world.control.slack_messages())
    clock.pass_time(timedelta(hours=1, minutes=1))
    process.relay.send_alerts()
    texts = [one["message"]["text"] for one in world.control.slack_messages()][before:]
    known = [case["correlationId"] for case in world.database.cases.find().sort("personlopenr", 1)]
    return [key for text in texts if CODE in text for key in known if key in text]


def row_of(process: Process, institution: Institution, case: dict[str, Any]) -> dict[str, Any]:
    rows = process.clients.student_registry(institution).explanation_rows(case["vurdId"])
    return dict(next(row for row in rows if row["personlopenr"] == case["personlopenr"]))


def compare(process: Process, institution: Institution, case: dict[str, Any], *rows: dict[str, Any]) -> None:
    taken = intake(process).take(institution, [ExamRows(case["vurdId"], rows, whole=False)], process.stores.clock.now())
    assert (taken.unreadable, taken.accepted) == (0, [])


def in_world(**changes: Any) -> Callable[[World, dict[str, Any], dict[str, Any]], object]:
    return lambda world, one, _other: world.control.change(one["caseId"], **changes)


@pytest.mark.parametrize(
    ("change", "number_alerted"),
    [
        (lambda world, one, other: world.control.change(one["caseId"], swapWith=other["caseId"]), 2),
        (in_world(kandidatnr=987654), 1),
        (in_world(brukernavn="another.person"), 1),
    ],
    ids=["swapWith", "kandidatnr", "brukernavn"],
)
def test_a_changed_student_after_the_registration_is_alerted_once(
    change: Callable[..., object], number_alerted: int, world: World, process: Process, clock: ShiftedClock
) -> None:
    one = add(world)
    other = add(world, examId=one["examId"])
    assert one["kandidatnr"] != other["kandidatnr"]
    world.carry(process)
    read(process, reach_back=timedelta(days=14))
    assert alerted(world, process, clock) == []
    messages = world.database.processed_messages.count_documents({})
    registrations = world.control.summary()["registrations"]

    change(world, one, other)
    for _ in range(2):
        read(process, reach_back=timedelta(days=14))

    changed = sorted((one, other), key=lambda asked: asked["personlopenr"]) if number_alerted == 2 else [one]
    assert alerted(world, process, clock) == [ours(world, asked)["correlationId"] for asked in changed]
    read(process, reach_back=timedelta(days=14))
    assert alerted(world, process, clock) == []
    # Nothing is changed automatically.
    assert world.database.messages.count_documents({}) == 0
    assert world.database.processed_messages.count_documents({}) == messages
    assert [case_of(world, asked)["state"] for asked in (one, other)] == ["registered"] * 2
    assert world.control.summary()["registrations"] == registrations
    check_no_text_of_another_student(world)


def test_each_change_is_alerted_and_a_reverted_change_is_not(
    world: World, process: Process, clock: ShiftedClock
) -> None:
    """The alert says to have a wrong row corrected."""
    asked = add(world)
    world.carry(process)
    heard = []
    for number in (987654, 987655, asked["kandidatnr"], 987654):
        world.control.change(asked["caseId"], kandidatnr=number)
        for _ in range(2):
            read(process, reach_back=ALL)
        heard.append(len(alerted(world, process, clock)))
        assert ("identityTold" in ours(world, asked)) == (number != asked["kandidatnr"])
    assert heard == [1, 1, 0, 1]


def test_changes_within_an_hour_are_alerted_at_its_end(world: World, process: Process, clock: ShiftedClock) -> None:
    asked = add(world)
    world.carry(process)
    for number in (987654, asked["kandidatnr"], 987654):
        world.control.change(asked["caseId"], kandidatnr=number)
        read(process, reach_back=ALL)
        process.relay.send_alerts()
        clock.pass_time(timedelta(minutes=1))
    assert len([one for one in world.control.slack_messages() if CODE in one["message"]["text"]]) == 1
    assert alerted(world, process, clock) == [ours(world, asked)["correlationId"]]


def test_every_field_of_a_row_is_identity_or_not() -> None:
    """A new field must be put into one of the two lists. If it says who the student is, it must be compared."""
    fields = {field.alias or name for name, field in ExplanationRequest.model_fields.items()}
    assert fields == {*IDENTITY, *DATED, "examId", "personlopenr"}, "the last two are what the row is found by"


@pytest.mark.parametrize(
    ("field", "is_old"), [*((field, False) for field in (*IDENTITY, *DATED)), *((field, True) for field in IDENTITY)]
)
def test_only_fields_of_identity_are_compared(
    field: str, is_old: bool, world: World, process: Process, clock: ShiftedClock, institution: Institution
) -> None:
    asked = add(world)
    world.carry(process)
    if is_old:
        world.database.cases.update_many(
            {}, {"$unset": {"registeredFor": "", "versions": ""}, "$set": {"version": "x"}}
        )
    case = ours(world, asked)
    changed = {**row_of(process, institution, case), field: {**IDENTITY, **DATED}[field]}

    compare(process, institution, case, changed)

    is_alerted = field in IDENTITY and not (is_old and field == "brukernavn")  # an old case does not have this field
    assert alerted(world, process, clock) == [case["correlationId"]] * is_alerted


@pytest.mark.parametrize(
    "spelling",
    [
        lambda row, realm: {"brukernavn": row["brukernavn"].partition("@")[0] + "@" + realm.upper()},
        lambda row, _: {"brukernavn": f" {row['brukernavn'].partition('@')[0].upper()} "},
        lambda _row, _realm: {"brukernavn": None},
        lambda row, _: {"kandidatnr": f"0{row['kandidatnr']}"},
    ],
    ids=["with realm", "upper case", "without user name", "leading zero"],
)
def test_another_spelling_or_less_to_compare_is_no_change(
    spelling: Callable[[dict[str, Any], str], dict[str, Any]],
    world: World,
    process: Process,
    clock: ShiftedClock,
    institution: Institution,
) -> None:
    asked = add(world)
    world.carry(process)
    case = ours(world, asked)
    row = row_of(process, institution, case)
    compare(process, institution, case, {**row, **spelling(row, institution.realm)})
    assert alerted(world, process, clock) == []


def test_one_of_several_rows_that_is_as_it_was_is_enough(
    world: World, process: Process, clock: ShiftedClock, institution: Institution
) -> None:
    asked = add(world)
    world.carry(process)
    case = ours(world, asked)
    row = row_of(process, institution, case)
    compare(process, institution, case, {**row, "kandidatnr": 987654, "datoVedtakFormidlet": "2031-01-01"}, row)
    assert alerted(world, process, clock) == []


def test_a_number_that_was_changed_in_both_systems_before_the_registration_is_no_change(
    world: World, process: Process, clock: ShiftedClock
) -> None:
    """The case has the number with which the assessor was asked. The text was registered for the person of the row."""
    world.control.assessors(paused=True)
    asked = add(world)
    world.send(process)
    world.control.assessors(paused=False, minimum_delay_s=0.0, maximum_delay_s=0.0)
    world.control.wait("submitted", world.control.summary()["dispatched"])
    world.control.change(asked["caseId"], kandidatnr=987654, in_wiseflow=True)
    poll_answers(process, process.stores.institutions.active())
    process.synchronisation.run_batch()
    assert case_of(world, asked)["state"] == "registered"
    read(process, reach_back=ALL)
    assert alerted(world, process, clock) == []


def test_the_stored_identity_of_a_case_names_nobody(world: World, process: Process) -> None:
    asked = add(world)
    world.carry(process)
    kept = ours(world, asked)["registeredFor"]
    assert sorted(kept) == ["candidate number", "user name"]
    assert all(len(value) == 32 for value in kept.values())
    assert all("registeredFor" not in (entry["detail"] or {}) for entry in world.audit(step="register_explanation"))


@pytest.mark.parametrize("field", ["registeredFor", "identityTold", "kandidatnr"])
def test_no_value_in_the_case_stops_the_comparison(
    field: str, world: World, process: Process, institution: Institution
) -> None:
    asked, neighbour = add(world), add(world)
    world.carry(process)
    world.control.change(neighbour["caseId"], kandidatnr=987654)
    for value in (None, 7, "x", [], {"a": 1}, {"candidate number": 7}, 1e300, True):
        world.database.cases.update_one({"_id": ours(world, asked)["_id"]}, {"$set": {field: value}})
        world.database.cases.update_many(
            {}, {"$unset": {"identityTold": ""}} if field != "identityTold" else {"$set": {}}
        )
        read(process, reach_back=ALL)
        assert ours(world, neighbour)["identityTold"], repr(value)
