"""Adds a single request to existing data, for a test. The request may have errors or other special properties.

``population`` makes the data at the beginning.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from simulators.exam_case import REGISTERED, Case, Exam
from simulators.flow import Flow, FlowVariant, Participant
from simulators.order_fields import DAY, FLAG, LIST, MOMENT, OBJECT, TEXT, TEXTS, check_fields, whole
from simulators.population import ODDITIES, Population, PopulationOrder
from simulators.state import World

OTHER_CANDIDATES = 5
SHARED_SUBMISSION = "shared_submission"
"""The expected end of two requests by students who handed in one submission together."""
NEEDED_FIELDS = frozenset({"personlopenr", "kandidatnr", "datoKlageMottat"})
"""Fields that every case needs. A row without one of them is expected to be set aside."""
FIELDS = {
    "orgId": TEXT,
    "oddity": TEXT.or_null(),
    "examId": TEXT.or_null(),
    "answer_text": TEXT.or_null(),
    "hold": FLAG,
    "raw": OBJECT,
    "omit": TEXTS,
    "expected": TEXT.or_null(),
    "kandidatnr": whole().or_null(),
    "kommisjonsId": TEXT.or_null(),
    "datoKlageMottat": DAY.or_null(),
    "frist": DAY.or_null(),
    "sistEndret": MOMENT.or_null(),
    "groupWith": whole().or_null(),
    "externalIds": LIST.or_null(),
}
WITHOUT_PARTICIPANT = frozenset({"no_candidate", "no_flow", "two_flows"})


@dataclass(frozen=True, slots=True)
class RequestOrder:
    """The request to add. Its fields have the names of the control interface."""

    orgId: str  # noqa: N815 - as in the JSON of the control interface
    oddity: str | None = None
    examId: str | None = None  # noqa: N815
    answer_text: str | None = None
    hold: bool = False
    raw: dict[str, Any] = field(default_factory=dict)
    omit: list[str] = field(default_factory=list)
    expected: str | None = None
    kandidatnr: int | None = None
    kommisjonsId: str | None = None  # noqa: N815
    datoKlageMottat: str | None = None  # noqa: N815
    frist: str | None = None
    sistEndret: str | None = None  # noqa: N815
    """The time of the row's last change in FS, with its zone. By default now."""
    groupWith: int | None = None  # noqa: N815
    """A case. The new request is on the same exam, and its participant has handed in the same submission."""
    externalIds: list[dict[str, str]] | None = None  # noqa: N815

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> RequestOrder:
        """Read an order.

        :raises ValueError: an unknown field or oddity, no institution, or a field with a value of another form
        """
        check_fields(body, FIELDS, needed={"orgId"})
        order = cls(**body)
        if order.oddity not in {None, "unknown_state", *ODDITIES}:
            raise ValueError(f"no such oddity: {order.oddity}; choices: {[*ODDITIES, 'unknown_state']}")
        is_on_a_new_exam = order.examId is None and order.groupWith is None
        if order.externalIds is not None and is_on_a_new_exam and order.oddity in WITHOUT_PARTICIPANT:
            raise ValueError(f"externalIds must be left out with {order.oddity}: there is no participant")
        return order

    def expected_end(self) -> str:
        """How the case should end: as the order says, or else as its other fields imply."""
        if self.expected is not None:
            return self.expected
        if self.oddity is not None:
            return self.oddity
        if NEEDED_FIELDS & (set(self.omit) | {name for name, value in self.raw.items() if value is None}):
            return "invalid_row"
        if self.answer_text is not None and not self.answer_text.strip():
            return "empty_answer"
        return REGISTERED


def add_request(world: World, order: RequestOrder) -> dict[str, Any]:
    """Add one request and, unless the oddity excludes them, its candidate and flow. Returns the ids.

    :raises ValueError: the institution or the exam does not exist
    """
    institution = world.institutions.get(order.orgId)
    if institution is None:
        raise ValueError(f"no such institution: {order.orgId}")
    flow: Flow | None
    population = Population(world, PopulationOrder(seed=world.seed, days=1, variety=False), world.random)
    if order.groupWith is not None:
        case, flow = _in_a_group(world, population, order)
    elif order.examId is None:
        case, flow = _on_a_new_exam(population, order, population.add_exam(institution, len(world.exams)))
    else:
        case, flow = _on_an_exam(world, population, order)
    case.expected = order.expected_end()
    if order.groupWith is not None:
        _expect_of_group(world, case, order)
    if order.externalIds is not None:
        _rename(world, case, order.externalIds)
    case.answer_text = order.answer_text
    case.raw, case.omit = order.raw, frozenset(order.omit)
    _override(case, order)
    if order.hold:
        world.held.append(case)
    else:
        changed = time.time() if order.sistEndret is None else datetime.fromisoformat(order.sistEndret).timestamp()
        world.show(case, changed_at=changed)
    world.waiting.changed()
    return {
        "caseId": case.case_id,
        "examId": case.exam.exam_id,
        "personlopenr": case.student.personlopenr,
        "kandidatnr": case.kandidatnr,
        "flowId": flow.flow_id if flow else None,
        "participantId": case.participant_id,
        "expected": case.expected,
    }


def _on_a_new_exam(population: Population, order: RequestOrder, exam: Exam) -> tuple[Case, Flow | None]:
    students = population.students(exam.institution, OTHER_CANDIDATES + 1)
    numbers = range(order.kandidatnr or 1001, (order.kandidatnr or 1001) + len(students))
    candidates = list(zip(students, numbers, strict=True))
    present = candidates[1:] if order.oddity == "no_candidate" else candidates
    flows = population.add_flows(exam, 0, present, order.oddity)
    student, kandidatnr = candidates[0]
    flow, participant = _find(flows, kandidatnr)
    case = population.add_case(exam, student, kandidatnr, participant, order.oddity)
    if flow is not None and participant is not None:
        population.add_comments_made_while_marking(case, flow, participant)
    return case, flow


def _on_an_exam(world: World, population: Population, order: RequestOrder) -> tuple[Case, Flow | None]:
    exam = world.exams.get(order.examId or "")
    if exam is None or exam.institution.org_id != order.orgId:
        raise ValueError("no such exam at this institution")
    flow = _plain_flow(world, exam)
    asking = {case.student.personlopenr for case in world.cases_of_exam[exam.exam_id]}
    for participant in flow.participants:
        if participant.student.personlopenr not in asking:
            case = population.add_case(
                exam, participant.student, int(participant.unique_exam_id), participant, order.oddity
            )
            population.add_comments_made_while_marking(case, flow, participant)
            return case, flow
    raise ValueError("nobody is left on this exam who has not asked")


def _in_a_group(world: World, population: Population, order: RequestOrder) -> tuple[Case, Flow]:
    """A request by another participant of the flow, who now has the same submission as the one who has asked already."""
    first = world.cases.get(order.groupWith or 0)
    member = world.participant_of_case(first) if first is not None else None
    if first is None or member is None or first.institution.org_id != order.orgId:
        raise ValueError("no such case at this institution, or it has no participant")
    flow = next(flow for flow in world.flows.values() if member in flow.participants)
    asking = {case.student.personlopenr for case in world.cases_of_exam[first.exam.exam_id]}
    for participant in flow.participants:
        if participant.student.personlopenr not in asking and participant.group_id is None:
            if member.group_id is None:
                member.group_id, member.json = next(world.numbers.group), None
            participant.group_id, participant.submission_id = member.group_id, member.submission_id
            participant.assessor = member.assessor
            participant.json = None
            case = population.add_case(
                first.exam, participant.student, int(participant.unique_exam_id), participant, order.oddity
            )
            return case, flow
    raise ValueError("nobody is left on this flow who has not asked")


def _expect_of_group(world: World, case: Case, order: RequestOrder) -> None:
    """Set the expected end of both cases.

    Comments belong to the submission, so they cannot be assigned to one of the two students. A text on the request can.
    """
    for one in (case, world.cases[order.groupWith or 0]):
        one.data_faults.append("groupWith")
        if world.modes.justification == "comment" and order.expected is None:
            one.expected = SHARED_SUBMISSION


def _rename(world: World, case: Case, external_ids: list[dict[str, str]]) -> None:
    participant = world.participant_of_case(case)
    if participant is None:
        raise ValueError("the case has no participant in WISEflow")
    participant.external_ids, participant.json = external_ids, None
    case.data_faults.append("externalIds")


def _plain_flow(world: World, exam: Exam) -> Flow:
    """The only flow in which the exam's candidates can ask for an explanation.

    :raises ValueError: there is no such flow, or there are several
    """
    flows = [
        flow
        for flow in world.flows.values()
        if any(source.code == exam.source_code for source in flow.sources)
        and flow.variant is FlowVariant.ORDINARY
        and flow.marking_is_over
        and flow.explanations_enabled
    ]
    if len(flows) != 1:
        raise ValueError("the exam has no flow, or several, or explanations are off; choose another")
    return flows[0]


def _find(flows: list[Flow], kandidatnr: int) -> tuple[Flow | None, Participant | None]:
    for flow in flows:
        for participant in flow.participants:
            if participant.unique_exam_id == str(kandidatnr):
                return flow, participant
    return None, None


def _override(case: Case, order: RequestOrder) -> None:
    if order.kommisjonsId is not None:
        case.kommisjons_id = order.kommisjonsId
    if order.datoKlageMottat is not None:
        case.received = date.fromisoformat(order.datoKlageMottat)
    if order.frist is not None:
        case.deadline = date.fromisoformat(order.frist)
