"""The ids of explanation cases: built here and nowhere else."""

from casebridge.exams.exam_key import spellings
from casebridge.exams.models import CaseType, ExplanationRequest
from casebridge.fingerprint import short_hash
from casebridge.institutions.institution import Institution


def case_id(institution: Institution, request: ExplanationRequest) -> str:
    """The same case for ever: system, institution, exam, person and type, whatever else changes in FS."""
    return _case_id(institution, request.exam.vurd_id, request.personlopenr)


def _case_id(
    institution: Institution, vurd_id: str, personlopenr: int, names: tuple[str, str, str] | None = None
) -> str:
    """`names` are organisation, environment and exam system, where they are not the institution's in their one spelling."""
    org_id, env, system = names or (institution.org_id, institution.env, institution.exam_system)
    return short_hash(system, org_id, env, vurd_id, personlopenr, CaseType.EXPLANATION)


def former_ids(institution: Institution, request: ExplanationRequest) -> frozenset[str]:
    """The ids under which versions up to 5aec059 opened the case.

    They took FS's spelling of the exam as it came, and the institution's names as the configuration spelled them.
    """
    person, today = request.personlopenr, case_id(institution, request)
    exams = {*spellings(request.vurd_id), request.exam.vurd_id}
    found = {_case_id(institution, exam, person, names) for exam in exams for names in (None, institution.written)}
    return frozenset(found - {today})
