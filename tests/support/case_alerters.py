"""Calls every part that alerts people of cases which are listed nowhere else, with cases made up for it."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

from casebridge.exams.deadlines import at_midnight
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.case_advance import CaseAdvance
from casebridge.exams.explanations.inactive_institutions import InactiveInstitutions
from casebridge.exams.explanations.moved_deadlines import MovedDeadlines
from casebridge.exams.explanations.passed_deadlines import PassedDeadlines
from casebridge.exams.explanations.registered_identity import RegisteredIdentities
from casebridge.exams.explanations.reopened import Reopenings
from casebridge.exams.explanations.rows_gone import RowsGone
from casebridge.exams.explanations.unreadable_cases import UnreadableCases
from casebridge.exams.models import CandidatePlace, ExplanationRequest
from casebridge.institutions.institution import Institution
from casebridge.institutions.register import InstitutionRegister
from resources.wiring.explanations import Explanations
from resources.wiring.process import Process


def case_id(number: int) -> str:
    return f"0198c0ff-ee00-7000-8000-{number:012d}"


def case(number: int, institution: Institution, **fields: Any) -> Case:
    document = {
        "_id": f"case {number}", "correlationId": case_id(number), "institution": institution.key, "orgId": institution.org_id,
        "examSystem": institution.exam_system, "state": "dispatched", "explanationRequestId": number, "flowId": 1,
        "vurdId": "x", "personlopenr": number, "kandidatnr": number, "deadline": at_midnight(date(2026, 3, 1)),
        "registeredAt": at_midnight(date(2026, 1, 2)), "openAgainAt": at_midnight(date(2026, 1, 1)), **fields,
    }  # fmt: skip
    return Case.from_document(document)


def moved(case: Case, day: date) -> CaseAdvance:
    request = ExplanationRequest.model_validate(
        {"examId": "x", "personlopenr": 1, "kandidatnr": 1, "datoKlageMottat": "2026-01-01"}
    )
    return CaseAdvance.dispatched(case.id, request, CandidatePlace("1", "1", None), "1", day, at_midnight(day))


def alert_moved(process: Process, _institution: Institution, cases: Sequence[Case]) -> None:
    for one in cases:  # each in a call of its own, as if one message were settled after the other
        MovedDeadlines(process.capability(Explanations).cases, process.stores.alerts).alert(
            [moved(one, date(2031, 1, 15))]
        )


def alert_gone(process: Process, institution: Institution, cases: Sequence[Case]) -> None:
    for one in cases:
        RowsGone(process.capability(Explanations).cases, process.stores.alerts).compare(institution, [one], [])


def alert_open(process: Process, institution: Institution, cases: Sequence[Case]) -> None:
    for one in cases:
        Reopenings(process.capability(Explanations).cases, process.stores.alerts).take(institution, [one])


def alert_passed(process: Process, institution: Institution, cases: Sequence[Case]) -> None:
    for one in cases:
        process.stores.database.cases.update_one({"_id": one.id}, {"$set": {"deadline": at_midnight(date(2026, 1, 1))}})
        PassedDeadlines(process.capability(Explanations).cases, process.stores.alerts, process.stores.clock).alert(
            institution
        )


def alert_changed(process: Process, institution: Institution, cases: Sequence[Case]) -> None:
    identities = RegisteredIdentities(
        process.capability(Explanations).cases, process.stores.alerts, process.stores.clock, "klage-beg-dispatcher"
    )
    for one in cases:
        row = {"examId": "x", "personlopenr": 1, "kandidatnr": 987654, "datoKlageMottat": "2026-01-01"}
        identities.compare(institution, [(one, [ExplanationRequest.model_validate(row)])])


def alert_inactive(process: Process, institution: Institution, cases: Sequence[Case]) -> None:
    """Mark all other cases as alerted already, then alert these."""
    process.capability(Explanations).watermarks.read_well(institution, None)
    process.stores.database.orgs.update_many({}, {"$set": {"aktiv": False}})
    others = {"_id": {"$nin": [one.id for one in cases]}}
    process.stores.database.cases.update_many(others, {"$set": {"inactiveToldAt": process.stores.clock.now()}})
    register = InstitutionRegister(process.stores.database, process.stores.served, frozenset({institution.exam_system}))
    deadlines = PassedDeadlines(process.capability(Explanations).cases, process.stores.alerts, process.stores.clock)
    process.stores.database.cases.update_many({}, {"$set": {"deadline": at_midnight(date(2099, 1, 1))}})
    InactiveInstitutions(
        register,
        process.capability(Explanations).watermarks,
        process.capability(Explanations).cases,
        process.stores.served,
        process.stores.alerts,
        deadlines,
        process.stores.clock,
    ).alert()
    process.stores.database.cases.update_many(others, {"$unset": {"inactiveToldAt": ""}})


def alert_unreadable(process: Process, institution: Institution, cases: Sequence[Case]) -> None:
    def raises(_document: object) -> object:
        raise TypeError

    for one in cases:
        UnreadableCases(process.stores.alerts, "klage-beg-dispatcher").pass_over(institution, [one.document], raises)


ALERTERS: Final[dict[str, Callable[[Process, Institution, Sequence[Case]], None]]] = {
    "case.deadline_moved": alert_moved,
    "case.row_gone": alert_gone,
    "case.changed_after_registration": alert_changed,
    "institution.inactive": alert_inactive,
    "case.open_once_more": alert_open,
    "case.deadline_passed": alert_passed,
    "casebridge.case_unreadable": alert_unreadable,
}
