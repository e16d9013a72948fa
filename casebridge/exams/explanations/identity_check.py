"""The last check before an action that cannot be undone: the participant is the person who asked, and nobody else."""

from typing import Final

from casebridge.database import Document
from casebridge.errors import PermanentError
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.current_row import CurrentRow, current_row
from casebridge.exams.fs_rows import UnreadableRow
from casebridge.exams.identity import Evidence, compare, contradiction
from casebridge.exams.models import CandidatePlace, ExplanationRequest
from casebridge.exams.ports import Clients, ExamSystem
from casebridge.institutions.institution import Institution
from casebridge.readable_documents import check_kinds, name_of

IDENTITY: Final = frozenset({"identity.contradiction", "identity.shared_participant"})
"""The codes of this check."""
UNKNOWN_EXAM: Final = "fs.exam_unknown"
NEEDED: Final = {"correlationId": str, "vurdId": str, "personlopenr": int, "kandidatnr": int}
"""The fields of another case with the same participant that say who its student is, and their types."""


class IdentityCheck:
    """Compares FS's row with the participant in the exam system, both as they are now. It has no state of its own."""

    def __init__(self, clients: Clients, cases: Cases) -> None:
        self._clients = clients
        self._cases = cases

    def check(
        self,
        institution: Institution,
        case: Case,
        row: CurrentRow,
        candidate: CandidatePlace,
        submission_id: str | None = None,
    ) -> None:
        """`submission_id` is the submission whose comment is the answer, if the answer is a comment.

        Raises `PermanentError` `identity.contradiction`, `identity.shared_participant` or `identity.submission_changed`.
        """
        exam_system = self._clients.exam_system(institution)
        now = exam_system.candidate(candidate)
        comparison = compare(row.request.person(institution.realm), now.evidence)
        if submission_id is not None and now.place.submission_id != submission_id:
            raise _submission_changed(exam_system, candidate)
        if not comparison.is_same:
            raise contradiction(exam_system.system, exam_system.name_of(candidate), comparison)
        # A row that cannot be read is compared by the fields that it has: the participant may belong to that row.
        others: tuple[ExplanationRequest | UnreadableRow, ...] = (*row.others, *row.unreadable)
        for other in others:
            theirs = compare(other.person(institution.realm), now.evidence)
            if theirs.is_same and len(theirs.agreeing) >= len(comparison.agreeing):
                raise _shared(exam_system, candidate, self._case_of(other))
        if comparison.is_thin:
            self._check_other_exams(institution, case, candidate, now.evidence)

    def _case_of(self, other: ExplanationRequest | UnreadableRow) -> str:
        if isinstance(other, UnreadableRow):
            return "is that of a row that cannot be read"
        found = self._cases.by_exam_and_candidate(other.vurd_id, other.kandidatnr)
        theirs = (one.correlation_id for one in found if one.document["personlopenr"] == other.personlopenr)
        return f"is {next(theirs, 'not opened yet')}"

    def _check_other_exams(
        self, institution: Institution, case: Case, candidate: CandidatePlace, evidence: Evidence
    ) -> None:
        """Check the cases of other exams. With a single piece of evidence, no other person's case may have the participant.

        One of two such cases must be wrong. These do not count:

        - A case whose row is gone from FS, or has another candidate number there. A poll will read that change.
        - A case whose row no longer fits the participant.

        A case that does not say who its student is counts: it may be another person's.
        """
        exam_system = self._clients.exam_system(institution)
        for rival in self._cases.on_participant(case, candidate):
            try:
                check_kinds(rival, NEEDED)
            except TypeError:
                raise _rival_unreadable(exam_system, candidate, name_of(rival)) from None
            is_another = rival["personlopenr"] != case.document["personlopenr"]
            if is_another and self._still_fits(institution, rival, evidence):
                raise _shared(exam_system, candidate, f"is {rival['correlationId']}")

    def _still_fits(self, institution: Institution, document: Document, evidence: Evidence) -> bool:
        try:
            row = current_row(self._clients.student_registry(institution), document["vurdId"], document["personlopenr"])
        except PermanentError as error:
            # If FS refuses the exam or sends it in a form that cannot be read, the exam still exists.
            return error.code != UNKNOWN_EXAM
        if row is None or row.request.kandidatnr != document["kandidatnr"]:
            return False
        return compare(row.request.person(institution.realm), evidence).is_same


def _rival_unreadable(exam_system: ExamSystem, candidate: CandidatePlace, other_case: str) -> PermanentError:
    return PermanentError(
        "casebridge.case_unreadable",
        f"{exam_system.name_of(candidate)} is that of two cases, and the other one "
        f"in oai.begrunnelser (correlation id {other_case}) does not say whose it is.",
        f"Restore that document from the backup, or correct {', '.join(NEEDED)}; then replay this message.",
    )


def _shared(exam_system: ExamSystem, candidate: CandidatePlace, other_case: str) -> PermanentError:
    return PermanentError(
        "identity.shared_participant",
        f"{exam_system.name_of(candidate)} is that of two persons in FS; the "
        f"other case {other_case}. All that both systems have of the participant fits both.",
        "Find out in FS whose candidate number it is and correct the other row. The next poll reads it. Then replay this "
        "message.",
        system=exam_system.system,
    )


def _submission_changed(exam_system: ExamSystem, candidate: CandidatePlace) -> PermanentError:
    return PermanentError(
        "identity.submission_changed",
        f"{exam_system.name_of(candidate)} has another submission than the one "
        "whose comment was read: the comment may be somebody else's.",
        f"Read the comments in {exam_system.system}, decide which text is the student's, and register it in FS by hand; then "
        "discard the message.",
        system=exam_system.system,
    )
