"""Reads explanation requests from Kafka (contract 2.2). This is the second source of requests, after `request_reader`.

A record is an earlier state, and it may come again years later. So a record can open a case, but never close or reopen one. Only
FS itself says that a request is finished or open again.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pydantic import Field, ValidationError

from casebridge.errors import CaseError, PermanentError
from casebridge.exams.explanations.case_ids import case_id
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.request_intake import open_cases, request_message
from casebridge.exams.models import ExplanationRequest
from casebridge.institutions.institution import Institution
from casebridge.institutions.register import InstitutionRegister
from casebridge.personal_data import DomainModel, Personal
from casebridge.sources.record import Record
from casebridge.sources.record_reader import Reading
from casebridge.sources.record_values import failed, institution_of, read_value, unreadable, vurd_id_unreadable


class ExplanationRequestRecord(DomainModel):
    """The value of a record. The key `begrunnelse` around the request's own fields is `[inferred]`."""

    vurd_id: str = Field(alias="vurdId")
    exam_system: str = Field(alias="examSys")
    org_id: str = Field(alias="orgId")
    env: str
    begrunnelse: Personal[dict[str, Any]]

    def request(self) -> ExplanationRequest:
        """Raises pydantic's `ValidationError`."""
        return ExplanationRequest.model_validate({**self.begrunnelse, "examId": self.vurd_id})


class ExplanationRequestRecords:
    """The record reader of the topic of requests."""

    def __init__(self, institutions: InstitutionRegister, cases: Cases) -> None:
        self._institutions = institutions
        self._cases = cases

    def read(self, records: Sequence[Record]) -> list[Reading]:
        """One reading for each record. Opens the cases of all open requests, one institution after the other."""
        readings: dict[int, Reading] = {}
        found: dict[str, list[tuple[int, ExplanationRequest]]] = defaultdict(list)
        institutions: dict[str, Institution] = {}
        for position, record in enumerate(records):
            if record.value is None:
                # A tombstone removes a key from a compacted topic. It is no request, and a record never closes a case.
                readings[position] = Reading(record)
                continue
            try:
                institution, request = self._request(record)
            except CaseError as error:
                readings[position] = failed(record, error, self._institutions)
            else:
                institutions[institution.tenant] = institution
                found[institution.tenant].append((position, request))
        for key, requests in found.items():
            readings |= self._open(institutions[key], requests, records)
        return [readings[position] for position in range(len(records))]

    def _open(
        self, institution: Institution, found: Sequence[tuple[int, ExplanationRequest]], records: Sequence[Record]
    ) -> dict[int, Reading]:
        still_open = [request for _, request in found if not request.finished_in_fs]
        cases = open_cases(self._cases, institution, still_open, from_record=True)
        readings = {}
        for position, request in found:
            case = cases.get(case_id(institution, request))
            needs_message = case is not None and not request.finished_in_fs and "withdrawnAt" not in case.document
            message = request_message(institution, request, cases) if needs_message else None
            readings[position] = Reading(records[position], message)
        return readings

    def _request(self, record: Record) -> tuple[Institution, ExplanationRequest]:
        content = read_value(ExplanationRequestRecord, record)
        institution = institution_of(record, content.org_id, content.env, content.exam_system, self._institutions)
        try:
            request = content.request()
        except ValidationError as error:
            raise unreadable(record, error, "begrunnelse") from None
        try:
            institusjonsnr = request.exam.institusjonsnr
        except PermanentError:
            raise vurd_id_unreadable(record) from None
        if institusjonsnr != institution.institusjonsnr:
            raise PermanentError(
                "kafka.exam_of_another_institution",
                f"The record {record.place} names an exam (vurdId) of another institution than its orgId.",
                "Ask its sender which of the two is right and have it sent again; nothing was carried.",
                system="Kafka",
            )
        return institution, request
