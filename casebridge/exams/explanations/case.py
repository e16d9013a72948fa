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
    """What the flows of explanations need to know of a case."""

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
        """The exam system's request that carries the case now."""
        return optional_external_id(self.document.get("explanationRequestId"))

    @property
    def version(self) -> str | None:
        """The version of FS's row that was accepted last; `None` in a case of an earlier release."""
        return self.document.get("version")

    @property
    def revision(self) -> int:
        """How often the row had changed by then."""
        revision: Any = self.document.get("revision")
        return int(revision) if is_count(revision) else 0

    def has_seen(self, version: str) -> bool:
        """Whether the row had this version before, as far as is kept."""
        return version in self.document.get("versions", ())

    @property
    def registered_hash(self) -> str | None:
        return self.document.get("registeredHash")

    def is_registered_by_another(self, message_key: str, text_hash: str) -> bool:
        """Whether FS has this very text already, and not because the same message came this far before its worker died."""
        return text_hash == self.registered_hash and self.document.get("registeredBy") != message_key

    def has_newer_answer(self, seen_at: datetime, given_at: datetime, now: datetime) -> bool:
        """Whether FS has an answer that we saw later: an older one, replayed or delayed, must not take its place.

        By our own order, not by WISEflow's dates: an answer that is unlocked and submitted anew may bear an earlier one. A case
        of an earlier release knows only those. A time far ahead of now is none: no answer would ever be newer.
        """
        seen, given = (self._moment(name, now) for name in ("answerSeenAt", "answerGivenAt"))
        return seen > seen_at if seen else given is not None and given > given_at

    def _moment(self, name: str, now: datetime) -> datetime | None:
        moment = moment_of(self.document, name)
        return None if moment is None or is_far_ahead(moment, now) else moment
