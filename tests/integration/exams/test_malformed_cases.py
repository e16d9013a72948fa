"""Case documents with any value in any field are compared with FS. Only that case is skipped and reported; the poll goes on."""

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
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process
from tests.integration.exams.test_between_two_polls import ALL, NO_NAMES, read
from tests.integration.exams.test_malformed_rows import AT, VALUES, YEAR_9999, changed
from tests.integration.exams.test_polls_of_fs import intake, rows_of
from tests.support.absent import ABSENT
from tests.support.added_cases import add, case_of, codes, ours
from tests.support.explanation_rounds import read_requests
from tests.support.world import World

EXAMPLES: Final = [
    ("flowId", ABSENT), ("kandidatnr", ABSENT), ("openAgainAt", "yesterday"), ("correlationId", 7), ("participantId", ABSENT),
    ("registeredAt", "yesterday"), ("registeredAt", None), ("registeredAt", ABSENT), ("registeredAt", YEAR_9999),
    ("openedAt", YEAR_9999), ("reopenedAt", YEAR_9999), ("openAgainAt", YEAR_9999), ("vurdId", 7),
]  # fmt: skip
SEEN_LATER: Final = ("openAgainAt", "withdrawnAt", "reopenedAt", "rowGoneToldAt", "deadlineToldAt")
READ: Final = {*NEEDED, "state", "registeredAt", "openAgainAt"}
FIRST_MALFORMED: Final = 50_000_000
"""The person number of the first malformed case. Nobody else in the world has it."""


@pytest.fixture
def process(world: World) -> Process:
    world.populate(institutions=1, courses=1, requests=2, variety=False)
    return world.process()


@pytest.fixture
def institution(process: Process) -> Institution:
    (institution,) = process.stores.institutions.active()
    return institution


@pytest.mark.parametrize("in_fs", ["reopened", "removed"])
def test_malformed_cases_do_not_stop_the_institution(in_fs: str, world: World, process: Process) -> None:
    asked, neighbour = [add(world) for _ in EXAMPLES], add(world)
    world.carry(process)
    malformed = [ours(world, one) for one in asked]
    for case, example in zip(malformed, EXAMPLES, strict=True):
        world.database.cases.replace_one({"_id": case["_id"]}, changed(case, *example))
    before = process.capability(Explanations).watermarks.get(process.stores.institutions.active()[0]).since
    assert before is not None
    # FS gives whole seconds: a watermark that moves within one second would look unchanged.
    world.database.watermarks.update_many({}, {"$set": {"siden": before - timedelta(hours=1)}})
    for one in (*asked, neighbour):
        world.control.withdraw(one["caseId"], how=in_fs)
    new = add(world)

    for _ in range(3):
        read(process, reach_back=ALL)
    report = read_requests(process, process.stores.institutions.active())
    world.carry(process)

    assert report.failed == {}
    mark = process.capability(Explanations).watermarks.get(process.stores.institutions.active()[0])
    assert mark.failures == 0
    assert mark.since is not None
    assert mark.since >= before
    assert case_of(world, new)["state"] == "registered"
    if in_fs == "reopened":
        assert case_of(world, neighbour)["state"] == "registered"
    alerts = world.database.alerts.find({"code": "casebridge.case_unreadable"})
    named = {key for alert in alerts for key in alert["correlationIds"]}
    nameable = [(field, case) for case, (field, _) in zip(malformed, EXAMPLES, strict=True) if field != "correlationId"]
    needed = {case["correlationId"] for field, case in nameable if (field, in_fs) not in NOT_NEEDED}
    assert needed <= named <= {case["correlationId"] for _, case in nameable}
    defects = world.database.alerts.find({"code": "casebridge.defect", "submodule": {"$ne": QUEUE}})
    assert not list(defects), "but of the odd cases' own messages"


NOT_NEEDED: Final = {
    ("participantId", "reopened"), ("flowId", "removed"), ("kandidatnr", "removed"), ("openAgainAt", "removed"),
    ("participantId", "removed"), ("vurdId", "removed"),
}  # fmt: skip
"""Fields that are not read in that state of FS."""


def cases_and_rows(
    template: Document, row: dict[str, Any], institution: Institution
) -> Iterator[tuple[Document, dict[str, Any]]]:
    """For a value of each field a registered case, with its row and a person of its own.

    Fields that are read for a row that is open again get every second value in turn, the others get fewer.
    """
    number = 0
    for place, field in enumerate(sorted({*template, *SEEN_LATER} - {"_id"})):
        step = 2 if field in READ else 6
        for value in VALUES[place % step :: step]:
            number += 1
            person = FIRST_MALFORMED + number
            own = {**row, "personlopenr": person, "kandidatnr": person}
            request = read_row(own)
            assert isinstance(request, ExplanationRequest)
            whole = {
                **template, "_id": case_id(institution, request), "correlationId": f"{number:032x}", "personlopenr": person,
                "kandidatnr": person, "openedAt": AT,
            }  # fmt: skip
            yield changed(whole, field, value), own


@pytest.mark.parametrize("in_fs", ["open", "finished", "gone"])
def test_no_malformed_registered_case_stops_other_cases(
    in_fs: str, world: World, process: Process, institution: Institution
) -> None:
    (exam,) = rows_of(process, institution)
    world.carry(process)
    template = world.database.cases.find_one({"state": "registered"}) or {}
    rows = []
    for case, row in cases_and_rows(template, exam.rows[0], institution):
        try:
            world.database.cases.insert_one(case)
        except OperationFailure:
            continue  # values that the server stores in no index
        rows.append({**row, "datoVedtakFormidlet": "2026-11-20"} if in_fs == "finished" else row)
    assert len(rows) > 150
    new = {**exam.rows[0], "personlopenr": FIRST_MALFORMED, "kandidatnr": FIRST_MALFORMED}
    shown = [] if in_fs == "gone" else rows

    taken = intake(process, Reopenings(process.capability(Explanations).cases, process.stores.alerts).take).take(
        institution, [ExamRows(exam.vurd_id, [*shown, new, *exam.rows], whole=True)], process.stores.clock.now()
    )

    case = world.database.cases.find_one({"personlopenr": FIRST_MALFORMED}) or {}
    assert case["correlationId"] in taken.accepted
    for neighbour in exam.rows:
        registered = world.database.cases.find_one({"personlopenr": neighbour["personlopenr"]}) or {}
        assert registered["correlationId"] in taken.accepted, "open again: registered anew"
        assert "openAgainAt" in registered
    (alert,) = world.database.alerts.find({"code": "casebridge.case_unreadable"})
    assert len(alert["correlationIds"]) > 15


@pytest.mark.parametrize("field", ["personlopenr", "vurdId", "correlationId"])
def test_a_case_without_a_person_sets_aside_only_cases_with_the_same_participant(
    field: str, world: World, process: Process
) -> None:
    """With one piece of evidence it is not certain that the other case belongs to another person."""
    world.control.assessors(paused=True)
    first, neighbour = add(world, **NO_NAMES), add(world, **NO_NAMES)
    world.send(process)
    sound = ours(world, first)
    rival = {**sound, "_id": "rival", "correlationId": f"{1:032x}", "personlopenr": FIRST_MALFORMED}
    for value in (None, [], 1.5, {"a": 1}):
        world.database.cases.replace_one({"_id": "rival"}, {**rival, field: value}, upsert=True)
    world.control.assessors(paused=False)
    world.carry(process)

    assert codes(process) == {"casebridge.case_unreadable": 1}
    assert case_of(world, neighbour)["state"] == "registered"
    assert case_of(world, first)["state"] == "answered"
    world.database.cases.delete_one({"_id": "rival"})
