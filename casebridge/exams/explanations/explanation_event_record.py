"""Reads WISEflow's events about explanations from Kafka (contract 2.2 "WISEflow answer", 4.7).

An event says that something happened on a flow, but not what. It makes `explanation_event_flow` poll that flow at once.
"""

from collections.abc import Sequence
from typing import Final

from pydantic import Field

from casebridge.errors import CaseError
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.external_id import external_id
from casebridge.exams.fs_values import FsNumber
from casebridge.fingerprint import short_hash
from casebridge.institutions.institution import Institution
from casebridge.institutions.register import InstitutionRegister
from casebridge.messaging.queue.message import NewMessage
from casebridge.personal_data import DomainModel
from casebridge.sources.record import Record
from casebridge.sources.record_reader import Reading
from casebridge.sources.record_values import failed, institution_of, read_value

QUEUE: Final = "wiseflow-webhook"


class ExplanationEventRecord(DomainModel):
    """The value of a record: the payload of `grade.justification`, its envelope, and the fields that Sikt adds."""

    flow_id: FsNumber = Field(alias="flowId")
    explanation_request_id: FsNumber = Field(alias="explanationRequestId")
    participant_id: FsNumber = Field(alias="participantId")
    org: str
    env: str
    exam_system: str = Field(alias="examSystem")
    sequence_number: int | None = Field(None, alias="sequenceNumber")
    timestamp: int | str | None = None


class ExplanationEventRecords:
    """The record reader of the topic of events."""

    def __init__(self, institutions: InstitutionRegister, cases: Cases) -> None:
        self._institutions = institutions
        self._cases = cases

    def read(self, records: Sequence[Record]) -> list[Reading]:
        """One reading for each record. Events of cases that we do not have give no message: students may also ask in WISEflow."""
        events: list[tuple[Record, Institution, ExplanationEventRecord] | Reading] = []
        flows: dict[str, set[str]] = {}
        institutions: dict[str, Institution] = {}
        for record in records:
            if record.value is None:
                events.append(Reading(record))  # a tombstone is no event
                continue
            try:
                event = read_value(ExplanationEventRecord, record)
                institution = institution_of(record, event.org, event.env, event.exam_system, self._institutions)
            except CaseError as error:
                events.append(failed(record, error, self._institutions))
            else:
                events.append((record, institution, event))
                institutions[institution.tenant] = institution
                flows.setdefault(institution.tenant, set()).add(str(event.flow_id))
        cases = {
            (tenant, *place): case
            for tenant, flow_ids in flows.items()
            for case in self._cases.on_flows(institutions[tenant].key, flow_ids)
            if institutions[tenant].has(case.document) and (place := _place(case)) is not None
        }
        return [found if isinstance(found, Reading) else _reading(*found, cases) for found in events]


def _place(case: Case) -> tuple[str, str] | None:
    """Flow and participant of the case. `None` if the case does not have them: then no event can belong to it."""
    try:
        return external_id(case.document.get("flowId")), external_id(case.document.get("participantId"))
    except ValueError:
        return None


def _reading(
    record: Record,
    institution: Institution,
    event: ExplanationEventRecord,
    cases: dict[tuple[str, str, str], Case],
) -> Reading:
    case = cases.get((institution.tenant, str(event.flow_id), str(event.participant_id)))
    if case is None:
        return Reading(record)
    return Reading(record, _message(record, institution, event, case))


def _message(record: Record, institution: Institution, event: ExplanationEventRecord, case: Case) -> NewMessage:
    return NewMessage(
        key=short_hash(
            QUEUE,
            institution.key,
            institution.exam_system,
            event.flow_id,
            event.explanation_request_id,
            *_identity(record, event),
        ),
        queue=QUEUE,
        org_id=institution.org_id,
        env=institution.env,
        exam_system=institution.exam_system,
        ordering_key=f"{QUEUE}:{case.id}",
        correlation_id=case.correlation_id,
        payload={"caseId": case.id, "flowId": event.flow_id, "explanationRequestId": event.explanation_request_id},
    )


def _identity(record: Record, event: ExplanationEventRecord) -> tuple[object, ...]:
    """The values that identify an event.

    When an event is sent again, it has the same sequence number, but maybe another time (contract 4.7).
    """
    if event.sequence_number is not None:
        return ("sequence", event.sequence_number)
    if event.timestamp is not None:
        return ("time", event.timestamp)
    return ("record", record.fingerprint)
