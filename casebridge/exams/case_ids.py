"""The ids of cases: built here and nowhere else."""

from casebridge.exams.exam_key import spellings
from casebridge.exams.institution import Institution
from casebridge.exams.models import CaseType, ExplanationRequest
from casebridge.fingerprint import short_hash


def case_id(institution: Institution, request: ExplanationRequest) -> str:
    """The same case for ever: system, institution, exam, person and type, whatever else changes in FS."""
    return _case_id(institution, request.exam.vurd_id, request.personlopenr)


def _case_id(institution: Institution, vurd_id: str, personlopenr: int) -> str:
    system, org_id, env = institution.exam_system, institution.org_id, institution.env
    return short_hash(system, org_id, env, vurd_id, personlopenr, CaseType.EXPLANATION)


def former_ids(institution: Institution, request: ExplanationRequest) -> frozenset[str]:
    """The ids under which versions up to 5aec059 opened the case: they took FS's spelling of the exam as it came."""
    names = spellings(request.vurd_id) - {request.exam.vurd_id}
    return frozenset(_case_id(institution, name, request.personlopenr) for name in names)
