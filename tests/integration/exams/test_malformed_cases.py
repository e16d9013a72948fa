"""Case documents with any value in any field, compared with FS: that case alone is passed over and told, and the poll goes on."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from pymongo.errors import OperationFailure

from casebridge.database import Document
from casebridge.exams.explanations.answer_poller import NEEDED, QUEUE
from casebridge.exams.explanations.case_ids import case_id
from casebridge.exams.explanations.exam_intake import ExamRows
from casebridge.exams.explanations.reopened import Reopenings
from casebridge.exams.fs_rows import read_row
from casebridge.exams.models import ExplanationRequest
from casebridge.institutions.institution import Institution
from resources.wiring.bridge import Bridge
from tests.integration.exams.test_between_two_looks import ALL, NO_NAMES, read
from tests.integration.exams.test_malformed_rows import AT, VALUES, YEAR_9999, changed
from tests.integration.exams.test_polls_of_fs import intake, rows_of
from tests.support.absent import ABSENT
from tests.support.added_cases import add, case_of, codes, ours
from tests.support.world import World

EXAMPLES: Final = [
    ("flowId", ABSENT), ("kandidatnr", ABSENT), ("openAgainAt", "yesterday"), ("correlationId", 7), ("participantId", ABSENT),
    ("registeredAt", "yesterday"), ("registeredAt", None), ("registeredAt", ABSENT), ("registeredAt", YEAR_9999),
    ("openedAt", YEAR_9999), ("reopenedAt", YEAR_9999), ("openAgainAt", YEAR_9999), ("vurdId", 7),
]  # fmt: skip
SEEN_LATER: Final = ("openAgainAt", "withdrawnAt", "reopenedAt", "rowGoneToldAt", "deadlineToldAt")
READ: Final = {*NEEDED, "state", "registeredAt", "openAgainAt"}
FIRST_ODD: Final = 50_000_000
"""The person of the first odd case: no person of the world."""


@pytest.fixture
def bridge(world: World) -> Bridge:
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    return world.bridge()


@pytest.fixture
def institution(bridge: Bridge) -> Institution:
    (institution,) = bridge.institutions.active()
    return institution


@pytest.mark.parametrize("in_fs", ["reopened", "removed"])
def test_malformed_cases_do_not_stop_the_institution(in_fs: str, world: World, bridge: Bridge) -> None:
    asked, neighbour = [add(world) for _ in EXAMPLES], add(world)
    world.carry(bridge)
    odd = [ours(world, one) for one in asked]
    for case, example in zip(odd, EXAMPLES, strict=True):
        world.database.cases.replace_one({"_id": case["_id"]}, changed(case, *example))
    before = bridge.watermarks.get(bridge.institutions.active()[0]).since
    assert before is not None
    # FS tells whole seconds: a mark that moves within one would look like one that stands still.
    world.database.watermarks.update_many({}, {"$set": {"siden": before - timedelta(hours=1)}})
    for one in (*asked, neighbour):
        world.control.withdraw(one["caseId"], how=in_fs)
    new = add(world)

    for _ in range(3):
        read(bridge, reach_back=ALL)
    report = bridge.synchronisation.read_requests(bridge.institutions.active())
    world.carry(bridge)

    assert report.failed == {}
    mark = bridge.watermarks.get(bridge.institutions.active()[0])
    assert mark.failures == 0
    assert mark.since is not None
    assert mark.since >= before
    assert case_of(world, new)["state"] == "registered"
    if in_fs == "reopened":
        assert case_of(world, neighbour)["state"] == "registered"
    alerts = world.database.alerts.find({"code": "casebridge.case_unreadable"})
    named = {key for alert in alerts for key in alert["correlationIds"]}
    nameable = [(field, case) for case, (field, _) in zip(odd, EXAMPLES, strict=True) if field != "correlationId"]
    needed = {case["correlationId"] for field, case in nameable if (field, in_fs) not in NOT_NEEDED}
    assert needed <= named <= {case["correlationId"] for _, case in nameable}
    defects = world.database.alerts.find({"code": "casebridge.defect", "submodule": {"$ne": QUEUE}})
    assert not list(defects), "but of the odd cases' own messages"


NOT_NEEDED: Final = {
    ("participantId", "reopened"), ("flowId", "removed"), ("kandidatnr", "removed"), ("openAgainAt", "removed"),
    ("participantId", "removed"), ("vurdId", "removed"),
}  # fmt: skip
"""Fields that are not asked for in that state of FS."""


def cases_and_rows(
    template: Document, row: dict[str, Any], institution: Institution
) -> Iterator[tuple[Document, dict[str, Any]]]:
    """A registered case for a value of each field, with its row, of a person of its own.

    Every second value of the fields that are read for a row that is open again, and fewer of the others, in turns.
    """
    number = 0
    for place, field in enumerate(sorted({*template, *SEEN_LATER} - {"_id"})):
        step = 2 if field in READ else 6
        for value in VALUES[place % step :: step]:
            number += 1
            person = FIRST_ODD + number
            own = {**row, "personlopenr": person, "kandidatnr": person}
            request = read_row(own)
            assert isinstance(request, ExplanationRequest)
            whole = {
                **template, "_id": case_id(institution, request), "correlationId": f"{number:032x}", "personlopenr": person,
                "kandidatnr": person, "openedAt": AT,
            }  # fmt: skip
            yield changed(whole, field, value), own


@pytest.mark.parametrize("in_fs", ["open", "finished", "gone"])
def test_no_registered_case_whatever_it_holds_stops_its_neighbours(
    in_fs: str, world: World, bridge: Bridge, institution: Institution
) -> None:
    (exam,) = rows_of(bridge, institution)
    world.carry(bridge)
    template = world.database.cases.find_one({"state": "registered"}) or {}
    rows = []
    for case, row in cases_and_rows(template, exam.rows[0], institution):
        try:
            world.database.cases.insert_one(case)
        except OperationFailure:
            continue  # what the server takes in no index
        rows.append({**row, "datoVedtakFormidlet": "2026-11-20"} if in_fs == "finished" else row)
    assert len(rows) > 150
    new = {**exam.rows[0], "personlopenr": FIRST_ODD, "kandidatnr": FIRST_ODD}
    shown = [] if in_fs == "gone" else rows

    taken = intake(bridge, Reopenings(bridge.cases, bridge.alerts).take).take(
        institution, [ExamRows(exam.vurd_id, [*shown, new, *exam.rows], whole=True)], bridge.clock.now()
    )

    case = world.database.cases.find_one({"personlopenr": FIRST_ODD}) or {}
    assert case["correlationId"] in taken.accepted
    for neighbour in exam.rows:
        registered = world.database.cases.find_one({"personlopenr": neighbour["personlopenr"]}) or {}
        assert registered["correlationId"] in taken.accepted, "open again: registered anew"
        assert "openAgainAt" in registered
    (alert,) = world.database.alerts.find({"code": "casebridge.case_unreadable"})
    assert len(alert["correlationIds"]) > 15


@pytest.mark.parametrize("field", ["personlopenr", "vurdId", "correlationId"])
def test_a_case_that_does_not_say_whose_it_is_sets_aside_only_who_shares_its_participant(
    field: str, world: World, bridge: Bridge
) -> None:
    """With a single piece of evidence nobody can tell that the other case is not another person's."""
    world.control.assessors(paused=True)
    first, neighbour = add(world, **NO_NAMES), add(world, **NO_NAMES)
    world.send(bridge)
    sound = ours(world, first)
    rival = {**sound, "_id": "rival", "correlationId": f"{1:032x}", "personlopenr": FIRST_ODD}
    for value in (None, [], 1.5, {"a": 1}):
        world.database.cases.replace_one({"_id": "rival"}, {**rival, field: value}, upsert=True)
    world.control.assessors(paused=False)
    world.carry(bridge)

    assert codes(bridge) == {"casebridge.case_unreadable": 1}
    assert case_of(world, neighbour)["state"] == "registered"
    assert case_of(world, first)["state"] == "answered"
    world.database.cases.delete_one({"_id": "rival"})
