"""Everything that tells people of cases that nothing but an alert lists, called with cases made up for it."""

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
from resources.wiring.bridge import Bridge


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


def tell_moved(bridge: Bridge, _institution: Institution, cases: Sequence[Case]) -> None:
    for one in cases:  # one message is settled after another
        MovedDeadlines(bridge.cases, bridge.alerts).tell([moved(one, date(2031, 1, 15))])


def tell_gone(bridge: Bridge, institution: Institution, cases: Sequence[Case]) -> None:
    for one in cases:
        RowsGone(bridge.cases, bridge.alerts).compare(institution, [one], [])


def tell_open(bridge: Bridge, institution: Institution, cases: Sequence[Case]) -> None:
    for one in cases:
        Reopenings(bridge.cases, bridge.alerts).take(institution, [one])


def tell_passed(bridge: Bridge, institution: Institution, cases: Sequence[Case]) -> None:
    for one in cases:
        bridge.database.cases.update_one({"_id": one.id}, {"$set": {"deadline": at_midnight(date(2026, 1, 1))}})
        PassedDeadlines(bridge.cases, bridge.alerts, bridge.clock).tell(institution)


def tell_changed(bridge: Bridge, institution: Institution, cases: Sequence[Case]) -> None:
    identities = RegisteredIdentities(bridge.cases, bridge.alerts, bridge.clock, "klage-beg-dispatcher")
    for one in cases:
        row = {"examId": "x", "personlopenr": 1, "kandidatnr": 987654, "datoKlageMottat": "2026-01-01"}
        identities.compare(institution, [(one, [ExplanationRequest.model_validate(row)])])


def tell_inactive(bridge: Bridge, institution: Institution, cases: Sequence[Case]) -> None:
    """All but these cases are told of already."""
    bridge.watermarks.read_well(institution, None)
    bridge.database.orgs.update_many({}, {"$set": {"aktiv": False}})
    others = {"_id": {"$nin": [one.id for one in cases]}}
    bridge.database.cases.update_many(others, {"$set": {"inactiveToldAt": bridge.clock.now()}})
    register = InstitutionRegister(bridge.database, bridge.served, frozenset({institution.exam_system}))
    deadlines = PassedDeadlines(bridge.cases, bridge.alerts, bridge.clock)
    bridge.database.cases.update_many({}, {"$set": {"deadline": at_midnight(date(2099, 1, 1))}})
    InactiveInstitutions(
        register, bridge.watermarks, bridge.cases, bridge.served, bridge.alerts, deadlines, bridge.clock
    ).tell()
    bridge.database.cases.update_many(others, {"$unset": {"inactiveToldAt": ""}})


def tell_unreadable(bridge: Bridge, institution: Institution, cases: Sequence[Case]) -> None:
    def raises(_document: object) -> object:
        raise TypeError

    for one in cases:
        UnreadableCases(bridge.alerts, "klage-beg-dispatcher").pass_over(institution, [one.document], raises)


TELLERS: Final[dict[str, Callable[[Bridge, Institution, Sequence[Case]], None]]] = {
    "case.deadline_moved": tell_moved,
    "case.row_gone": tell_gone,
    "case.changed_after_registration": tell_changed,
    "institution.inactive": tell_inactive,
    "case.open_once_more": tell_open,
    "case.deadline_passed": tell_passed,
    "casebridge.case_unreadable": tell_unreadable,
}
