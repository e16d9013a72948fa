"""An explanation case: one student's request on one exam, from FS request to FS answer, as stored in `oai.begrunnelser`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from casebridge.cases import case
from casebridge.clock import is_far_ahead
from casebridge.exams.explanations.case_state import LIFECYCLE, CaseState
from casebridge.exams.external_id import external_id, optional_external_id
from casebridge.exams.models import CandidatePlace
from casebridge.messaging.queue.message import is_count, moment_of


@dataclass(frozen=True)
class Case(case.Case):
    """A case, as the flows of explanations need it."""

    lifecycle = LIFECYCLE
    state: CaseState

    @property
    def candidate(self) -> CandidatePlace | None:
        if "flowId" not in self.document:
            return None
        return CandidatePlace(
            external_id(self.document["flowId"]),
            external_id(self.document["participantId"]),
            optional_external_id(self.document.get("submissionId")),
        )

    @property
    def explanation_request_id(self) -> str | None:
        """The id of the case's current request in the exam system."""
        return optional_external_id(self.document.get("explanationRequestId"))

    @property
    def version(self) -> str | None:
        """The version of FS's row that was accepted last. `None` in a case of an earlier release."""
        return self.document.get("version")

    @property
    def revision(self) -> int:
        """How often the row had changed when that version was accepted."""
        revision: Any = self.document.get("revision")
        return int(revision) if is_count(revision) else 0

    def has_seen(self, version: str) -> bool:
        """Whether the row had this version before. Only the last versions are stored."""
        return version in self.document.get("versions", ())

    @property
    def registered_hash(self) -> str | None:
        return self.document.get("registeredHash")

    def is_registered_by_another(self, message_key: str, text_hash: str) -> bool:
        """Whether FS has this text already from another message.

        A registration by the same message, before its worker died, does not count.
        """
        return text_hash == self.registered_hash and self.document.get("registeredBy") != message_key

    def has_newer_answer(self, seen_at: datetime, given_at: datetime, now: datetime) -> bool:
        """Whether FS has an answer that we saw later. A replayed or delayed older answer must not replace it.

        The order is that in which we saw the answers, not that of WISEflow's dates: an answer that is unlocked and submitted
        again may have an earlier date. A case of an earlier release has only the dates. A stored time that lies far in the future
        is ignored: otherwise no answer would ever be newer.
        """
        seen, given = (self._moment(name, now) for name in ("answerSeenAt", "answerGivenAt"))
        return seen > seen_at if seen else given is not None and given > given_at

    def _moment(self, name: str, now: datetime) -> datetime | None:
        moment = moment_of(self.document, name)
        return None if moment is None or is_far_ahead(moment, now) else moment
