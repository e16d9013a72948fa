"""The ids of explanation cases. Only this module builds them."""

from casebridge.exams.exam_key import spellings
from casebridge.exams.models import CaseType, ExplanationRequest
from casebridge.fingerprint import short_hash
from casebridge.institutions.institution import Institution


def case_id(institution: Institution, request: ExplanationRequest) -> str:
    """The id of the request's case. Only system, institution, exam, person and type go into it, so it never changes."""
    return _case_id(institution, request.exam.vurd_id, request.personlopenr)


def _case_id(
    institution: Institution, vurd_id: str, personlopenr: int, names: tuple[str, str, str] | None = None
) -> str:
    """`names` are organisation, environment and exam system. Without it, the institution's own names are used."""
    org_id, env, system = names or (institution.org_id, institution.env, institution.exam_system)
    return short_hash(system, org_id, env, vurd_id, personlopenr, CaseType.EXPLANATION)


def former_ids(institution: Institution, request: ExplanationRequest) -> frozenset[str]:
    """The ids that versions up to 5aec059 gave to the case.

    Those versions used the exam's id as FS spelled it, and the institution's names as the configuration spelled them.
    """
    person, current = request.personlopenr, case_id(institution, request)
    exams = {*spellings(request.vurd_id), request.exam.vurd_id}
    found = {_case_id(institution, exam, person, names) for exam in exams for names in (None, institution.written)}
    return frozenset(found - {current})
