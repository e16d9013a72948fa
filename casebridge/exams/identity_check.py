"""The last look before what cannot be taken back: whether the participant is the person who asked, and nobody else's."""

from typing import Final

from casebridge.errors import PermanentError
from casebridge.exams.cases import Case, Cases
from casebridge.exams.flow_matching import contradiction
from casebridge.exams.identity import Evidence, compare
from casebridge.exams.institution import Institution
from casebridge.exams.models import CandidatePlace, ExplanationRequest
from casebridge.exams.ports import Outside
from casebridge.exams.row_now import RowNow, row_now

IDENTITY: Final = frozenset({"identity.contradiction", "identity.shared_participant"})
"""The codes of this check."""


class IdentityCheck:
    """Holds FS's row, as it is now, against the participant as it is now. Stateless but for its collaborators."""

    def __init__(self, outside: Outside, cases: Cases) -> None:
        self._outside = outside
        self._cases = cases

    def check(
        self,
        institution: Institution,
        case: Case,
        row: RowNow,
        candidate: CandidatePlace,
        submission_id: int | None = None,
    ) -> None:
        """`submission_id` is the submission whose comment is to be handed on, if it is one.

        Raises `PermanentError` `identity.contradiction`, `identity.shared_participant` or `identity.submission_changed`.
        """
        now = self._outside.exam_system(institution).candidate(candidate)
        comparison = compare(row.request.person(institution.realm), now.evidence)
        if submission_id is not None and now.place.submission_id != submission_id:
            raise _submission_changed(candidate)
        if not comparison.is_same:
            raise contradiction(candidate.flow_id, candidate.participant_id, comparison)
        for other in row.others:
            theirs = compare(other.person(institution.realm), now.evidence)
            if theirs.is_same and len(theirs.agreeing) >= len(comparison.agreeing):
                raise _shared(candidate, self._case_of(other))
        if comparison.is_thin:
            self._check_alone(institution, case, candidate, now.evidence)

    def _case_of(self, other: ExplanationRequest) -> str | None:
        found = self._cases.by_exam_and_candidate(other.vurd_id, other.kandidatnr)
        return next((one.correlation_id for one in found if one.document["personlopenr"] == other.personlopenr), None)

    def _check_alone(self, institution: Institution, case: Case, candidate: CandidatePlace, evidence: Evidence) -> None:
        """With a single piece of evidence, no person of another exam may have the participant: one of the two is mistaken.

        A case whose row is gone from FS, or has another number there, does not count: that change is on its way to us. Nor does
        one whose row does not fit the participant any more.
        """
        for rival in self._cases.on_participant(case, candidate):
            if rival.document["personlopenr"] != case.document["personlopenr"] and self._stands(
                institution, rival, evidence
            ):
                raise _shared(candidate, rival.correlation_id)

    def _stands(self, institution: Institution, rival: Case, evidence: Evidence) -> bool:
        document = rival.document
        try:
            row = row_now(self._outside.student_registry(institution), document["vurdId"], document["personlopenr"])
        except PermanentError:
            return False  # FS does not know the exam of the other one any more
        if row is None or row.request.kandidatnr != document["kandidatnr"]:
            return False
        return compare(row.request.person(institution.realm), evidence).is_same


def _shared(candidate: CandidatePlace, other_case: str | None) -> PermanentError:
    return PermanentError(
        "identity.shared_participant",
        f"Participant {candidate.participant_id} of flow {candidate.flow_id} in WISEflow is that of two persons in FS; the "
        f"other case is {other_case or 'not opened yet'}. All that both systems have of the participant fits both.",
        "Find out in FS whose candidate number it is and correct the other row: the corrected one comes by itself. "
        "Then replay this message.",
        system="WISEflow",
    )


def _submission_changed(candidate: CandidatePlace) -> PermanentError:
    return PermanentError(
        "identity.submission_changed",
        f"Participant {candidate.participant_id} of flow {candidate.flow_id} in WISEflow has another submission than the one "
        "whose comment was read: the comment may be somebody else's.",
        "Read the comments in WISEflow, decide which text is the student's, and register it in FS by hand; then discard the "
        "message.",
        system="WISEflow",
    )
