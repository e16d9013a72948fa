"""WISEflow as the exam system of one institution: the port `ExamSystem` on top of the API.

This module has the order of calls and the caches: many requests for one exam at a time cost one look-up. `client` is the API, and
`flow_matching` chooses. Ids are opaque texts for callers, and WISEflow's numbers inside (`places`).
"""

import math
import time as clock
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from casebridge.errors import PermanentError, TransientError
from casebridge.exams.exam_key import ExamKey
from casebridge.exams.identity import Person
from casebridge.exams.models import (
    Candidate,
    CandidatePlace,
    ExamPlace,
    ExplanationAnswer,
    ExplanationState,
    ExplanationStatus,
    RequestedExplanation,
)
from casebridge.exams.ports import AnotherCandidatesRequestError, AnswerTakenBackError, CandidateGoneError
from casebridge.institutions.institution import WiseflowAccess
from resources.short_cache import Entry, ShortCache
from resources.wiseflow.client import COMMENTS_OFF, NO_PARTICIPANT, NOT_SHOWN, WiseflowClient
from resources.wiseflow.flow_matching import (
    COMMENT,
    FoundAnswer,
    ListedComment,
    choose_flow,
    find_answer,
    main_flows_wanted,
    match_candidate,
    participant_unreadable,
    same_source_code,
)
from resources.wiseflow.participant_list import ListedParticipant, ParticipantList
from resources.wiseflow.places import SYSTEM, FlowPlace, ParticipantPlace, number
from resources.wiseflow.poll_problems import named, not_followed
from resources.wiseflow.records import (
    SUBMITTED,
    USUAL_NAMES,
    EvidenceNames,
    Explanation,
    Flow,
    Participant,
    SubmissionComment,
    UnreadableComment,
    UnreadableExplanation,
    UnreadableParticipant,
)
from resources.wiseflow.shared_submission import check_asked_alone, sharers
from resources.wiseflow.source_code import source_code
from resources.wiseflow.status import marker_of, state_of, status_of, unreadable_status

OSLO: Final = ZoneInfo("Europe/Oslo")
LAST_SECOND: Final = time(23, 59, 59)
KEPT_SECONDS: Final = 300.0
"""How long a flow or a list is used from the cache. A burst of requests lasts minutes; a correction should not wait longer."""
KEPT_EXAMS: Final = 2000
KEPT_PARTICIPANTS: Final = 20_000
"""Limits the memory: a participant takes about a kilobyte."""
KEPT_CHARACTERS: Final = 1_000_000
"""Limits the memory of comments."""
NOT_SHOWN_CODE: Final = f"{SYSTEM.lower()}.{NOT_SHOWN.code}"
CREDENTIAL_CHECK_CODE: Final = "casebridge||credentials"
"""A source code that no exam has. A search for it shows only whether the credentials work."""


class WiseflowExamSystem:
    """Implements the port `ExamSystem`. Thread-safe. Every method may raise errors of `casebridge.errors`."""

    system: Final = SYSTEM

    def __init__(
        self,
        access: WiseflowAccess,
        client: WiseflowClient,
        *,
        ask_with_due_date: bool = True,
        evidence_names: EvidenceNames = USUAL_NAMES,
    ) -> None:
        self._access = access
        self._ask_with_due_date = ask_with_due_date
        self._evidence_names = evidence_names
        self.client = client
        self._places: ShortCache[str, FlowPlace] = ShortCache(lambda _: KEPT_SECONDS, KEPT_EXAMS)
        self._participants: ShortCache[int, ParticipantList] = ShortCache(
            lambda _: KEPT_SECONDS, KEPT_PARTICIPANTS, weigh=len
        )
        self._comments: ShortCache[int, Sequence[ListedComment]] = ShortCache(
            lambda _: KEPT_SECONDS, KEPT_CHARACTERS, weigh=_characters
        )

    @property
    def shows_answers(self) -> bool:
        """The setting `wiseflow.showJustification` of the institution."""
        return self._access.show_justification

    def name_of(self, candidate: CandidatePlace) -> str:
        return ParticipantPlace.of(candidate).name

    def exams_named(self, flow_ids: Sequence[str]) -> str:
        return f"flow {named(flow_ids)}"

    def find_exam(self, exam: ExamKey, *, vurderingsordning: str | None = None, tid: str | None = None) -> ExamPlace:
        """The exam's flow, found by the source code that the institution's template makes of the exam.

        Raises `PermanentError` `wiseflow.flow_missing`, `wiseflow.flow_ambiguous` or `fs.source_code_part_missing`.
        """
        code = source_code(self._access.source_code, exam, vurderingsordning=vurderingsordning, tid=tid)
        return self._places.get(code, lambda: self._search_exam(code)).value.opaque()

    def find_candidate(self, place: ExamPlace, person: Person, *, anew: bool = False) -> CandidatePlace:
        """The person's participant. If cached lists give no certain match, they are read again once; `anew` ignores the cache.

        Raises `PermanentError` `identity.contradiction`, `wiseflow.participant_missing` or `wiseflow.participant_ambiguous`.
        """
        flow, began = FlowPlace.of(place), clock.monotonic()
        since = began if anew else -math.inf
        lists = {flow_id: self._read_participants(flow_id, since=since) for flow_id in flow.flow_ids}
        try:
            return match_candidate(flow, _values(lists), person, self._evidence_names).opaque()
        except PermanentError:
            stale = {flow_id: entry for flow_id, entry in lists.items() if entry.loaded_at < began}
            if not stale:
                raise
        lists.update({flow_id: self._read_participants(flow_id, entry) for flow_id, entry in stale.items()})
        return match_candidate(flow, _values(lists), person, self._evidence_names).opaque()

    def candidate(self, place: CandidatePlace) -> Candidate:
        """The participant as WISEflow has it now.

        Raises `CandidateGoneError` `wiseflow.participant_unknown`, and `TransientError` if the participant cannot be read.
        """
        known = ParticipantPlace.of(place)
        one = self._participant_now(known)
        now = replace(known, submission_id=one.submission_id)
        return Candidate(now.opaque(), one.evidence(self._evidence_names))

    def request_explanation(self, candidate: CandidatePlace, due: date | None) -> RequestedExplanation:
        """Ask the assessor. Both 201 and 200 are success. The deadline is the end of the day `due` in Oslo.

        The answer is never shown in WISEflow at once: the student must not read it before FS has it.
        """
        due_at = datetime.combine(due, LAST_SECOND, OSLO) if due is not None and self._ask_with_due_date else None
        place = ParticipantPlace.of(candidate)
        created = self.client.request_explanation(place.flow_id, place.participant_id, show=False, due=due_at)
        return RequestedExplanation(str(created.explanation_request_id), created.created, created.show_justification)

    def explanations(self, flow_id: str) -> Sequence[ExplanationStatus]:
        """The status of every request on the flow. Comments are read once, and only if one of them may be an answer."""
        return self._statuses(number(flow_id))

    def _statuses(self, flow_id: int) -> Sequence[ExplanationStatus]:
        rows = self.client.explanations(flow_id)
        explanations = [row for row in rows if isinstance(row, Explanation)]
        in_comments = [one for one in explanations if one.state >= SUBMITTED and one.text is None]
        comments = self._comments_now(flow_id) if in_comments else ()
        submissions = self._submissions(flow_id, in_comments) if comments else {}
        nameless = [one for one in comments if isinstance(one, UnreadableComment) and one.container_id is None]
        statuses = [
            unreadable_status(flow_id, row)
            if isinstance(row, UnreadableExplanation)
            else status_of(flow_id, row, comments, submissions.get(row.explanation_id), self._access.answer_state)
            for row in rows
        ]
        return [*statuses, *(unreadable_status(flow_id, one) for one in nameless)]

    def explanation(self, flow_id: str, explanation_request_id: str) -> ExplanationStatus:
        """The status of one request. Its marker ignores comments."""
        explanation = self.client.explanation(number(flow_id), number(explanation_request_id))
        return status_of(number(flow_id), explanation, (), None, self._access.answer_state)

    def not_followed(
        self,
        unknown: Sequence[ExplanationStatus],
        nameless: Sequence[ExplanationStatus],
        hidden: Sequence[ExplanationStatus],
    ) -> PermanentError | None:
        """The error `wiseflow.state_unknown`, `wiseflow.request_unreadable` or `wiseflow.comment_unreadable`, or None."""
        return not_followed(unknown, nameless, hidden)

    def answer(
        self,
        flow_id: str,
        explanation_request_id: str,
        candidate: CandidatePlace,
        seen_at: datetime,
        marker: str | None = None,
    ) -> ExplanationAnswer:
        """The answer's text and the moment from which the student could have it.

        WISEflow gives comments for a whole flow only, so answers at one time share a list. An earlier list is used if it gives
        the same `marker` that the poll saw. The method raises

        - `AnswerTakenBackError` `wiseflow.answer_withdrawn` if the answer was unlocked meanwhile;
        - `TransientError` `wiseflow.answer_empty` if there is no text;
        - `AnotherCandidatesRequestError` `wiseflow.participant_mismatch` if the request belongs to somebody else;
        - `PermanentError` `identity.group_text` if it is unknown whose the comment is;
        - `TransientError` `wiseflow.participants_unreadable` while unreadable lists leave that open.
        """
        flow, place = number(flow_id), ParticipantPlace.of(candidate)
        explanation = self.client.explanation(flow, number(explanation_request_id))
        self._check_answered(explanation, place)
        if explanation.text:
            found = find_answer(explanation, (), None, seen_at, datetime.now(UTC))
            listed: Sequence[ListedParticipant] = ()
        else:
            found, listed = self._find_comment(flow, explanation, place, seen_at, marker)
        if found is None:
            raise TransientError(
                "wiseflow.answer_empty",
                f"Explanation request {explanation_request_id} on flow {flow_id} counts as answered but has no text.",
                "Ask the assessor to write the explanation as a comment that the participant can see. The next poll finds it.",
                system=SYSTEM,
            )
        if found.source != COMMENT:
            return ExplanationAnswer(found.text, found.given_at, found.source)
        self._check_shared(explanation, place, listed)
        now = replace(place, submission_id=_submission(place, listed))
        return ExplanationAnswer(found.text, found.given_at, found.source, now.opaque().submission_id)

    def show_explanation(self, flow_id: str, explanation_request_id: str) -> None:
        """Let the student see the answer in WISEflow, which sends an e-mail the first time.

        A refusal is ignored if a person has shown the answer already. Raises `TransientError` `wiseflow.not_shown`.
        """
        flow, request = number(flow_id), number(explanation_request_id)
        try:
            shown = self.client.show_explanation(flow, request).show_justification
        except PermanentError as error:
            if error.code != NOT_SHOWN_CODE or not self._is_shown(flow, request):
                raise
            return
        if not shown:
            raise TransientError(
                "wiseflow.not_shown",
                f"WISEflow took the order to show request {explanation_request_id} on flow {flow_id}, and hides it still.",
                "Nothing to do unless it lasts: then show it in WISEflow by hand and replay the message.",
                system=SYSTEM,
            )

    def _is_shown(self, flow_id: int, explanation_request_id: int) -> bool:
        return self.client.explanation(flow_id, explanation_request_id).show_justification

    def check_credentials(self) -> None:
        """Try the credentials: get a new token, or with a static key search for a source code that no exam has."""
        if not self.client.renew_credential():
            self._hits(CREDENTIAL_CHECK_CODE)

    def close(self) -> None:
        self.client.http.close()

    def _search_exam(self, code: str) -> FlowPlace:
        hits = self._hits(code)
        return choose_flow([*hits, *(self.client.flow(flow_id) for flow_id in main_flows_wanted(hits))])

    def _hits(self, code: str) -> list[Flow]:
        """The flows with exactly this code. A source names only its flow, so the flow is read for its variant and state."""
        if self._access.flow_search == "sis_flows":
            flows = self.client.search_sis_flows(code)
            return [flow for flow in flows if same_source_code(flow.source_code, code)]
        sources = self.client.search_sources(code)
        flow_ids = {source.flow_id for source in sources if same_source_code(source.code, code)}
        return [self.client.flow(flow_id) for flow_id in sorted(flow_ids)]

    def _read_participants(
        self,
        flow_id: int,
        instead_of: Entry[ParticipantList] | None = None,
        *,
        since: float = -math.inf,
    ) -> Entry[ParticipantList]:
        def load() -> ParticipantList:
            rows = self.client.participants(flow_id, self._access.participants_endpoint)
            return ParticipantList(rows, self._evidence_names)

        if instead_of is not None:
            return self._participants.get(flow_id, load, instead_of)
        return self._participants.get_since(flow_id, load, since)

    def _participant_now(self, place: ParticipantPlace) -> Participant:
        """The participant as it is now. Licences before 1.34 have only the list, which is then read again."""
        if self._access.participants_endpoint == "new":
            return self.client.participant(place.flow_id, place.participant_id)
        began = clock.monotonic()
        everyone = self._read_participants(place.flow_id, since=began).value
        found = next((one for one in everyone if one.participant_id == place.participant_id), None)
        if not isinstance(found, Participant):
            if any(isinstance(one, UnreadableParticipant) and _may_be_same(one, place) for one in everyone):
                raise participant_unreadable(place)
            raise CandidateGoneError(
                f"{SYSTEM.lower()}.{NO_PARTICIPANT.code}",
                f"{NO_PARTICIPANT.cause} Flow {place.flow_id}, participant {place.participant_id}.",
                NO_PARTICIPANT.next_action,
                system=SYSTEM,
            )
        return found

    def _check_shared(
        self, explanation: Explanation, candidate: ParticipantPlace, listed: Sequence[ListedParticipant]
    ) -> None:
        """Raise an error if several participants share the submission and more than one of them may have asked."""
        if others := sharers(candidate, listed):
            rows = self.client.explanations(candidate.flow_id)
            check_asked_alone(explanation, candidate, others, listed, rows)

    def _find_comment(
        self, flow_id: int, explanation: Explanation, candidate: ParticipantPlace, seen_at: datetime, marker: str | None
    ) -> tuple[FoundAnswer | None, Sequence[ListedParticipant]]:
        """The answer among the flow's comments, and the list of participants that was used to choose it.

        The list is never older than the comments, because a comment may be for a participant who has joined the group since.
        """
        began = clock.monotonic()
        comments = self._read_comments(flow_id)
        listed = self._read_participants(candidate.flow_id, since=comments.loaded_at).value
        submission_id = _submission(candidate, listed)
        found = find_answer(explanation, comments.value, submission_id, seen_at, datetime.now(UTC))
        if comments.loaded_at < began and (
            found is None or marker_of(explanation, comments.value, submission_id) != marker
        ):
            comments = self._read_comments(flow_id, since=began)
            listed = self._read_participants(candidate.flow_id, since=comments.loaded_at).value
            found = find_answer(explanation, comments.value, _submission(candidate, listed), seen_at, datetime.now(UTC))
        return found, listed

    def _read_comments(self, flow_id: int, *, since: float = -math.inf) -> Entry[Sequence[ListedComment]]:
        """The flow's comments, from a read that began at `since` or later."""

        def load() -> Sequence[ListedComment]:
            return self.client.submission_comments(flow_id)

        return self._comments.get_since(flow_id, load, since)

    def _comments_now(self, flow_id: int) -> Sequence[ListedComment]:
        """The flow's comments as they are now. None if the licence hides them, so that states can still be polled."""
        try:
            return self._read_comments(flow_id, since=clock.monotonic()).value
        except PermanentError as error:
            if error.code != f"{SYSTEM.lower()}.{COMMENTS_OFF.code}":
                raise
            return ()

    def _submissions(self, flow_id: int, explanations: Iterable[Explanation]) -> dict[int, int | None]:
        """The submission of each request, by `explanation_id`. A poll does not know the candidates."""
        began = clock.monotonic()
        wanted = {one.explanation_id: one.participant.participant_id for one in explanations if one.participant}
        entry = self._read_participants(flow_id)
        known = {one.participant_id: one.submission_id for one in entry.value}
        if not known.keys() >= set(wanted.values()) and entry.loaded_at < began:
            entry = self._read_participants(flow_id, entry)
            known = {one.participant_id: one.submission_id for one in entry.value}
        return {explanation_id: known.get(participant_id) for explanation_id, participant_id in wanted.items()}

    def _check_answered(self, explanation: Explanation, candidate: ParticipantPlace) -> None:
        if explanation.participant and explanation.participant.participant_id != candidate.participant_id:
            raise AnotherCandidatesRequestError(
                "wiseflow.participant_mismatch",
                f"Explanation request {explanation.explanation_id} belongs to another participant than the case's.",
                "Compare request and participant in WISEflow; the answer is not handed on before they agree.",
                system=SYSTEM,
            )
        if state_of(explanation.state, self._access.answer_state) is not ExplanationState.READY:
            raise AnswerTakenBackError(
                "wiseflow.answer_withdrawn",
                f"Explanation request {explanation.explanation_id} is in state {explanation.state} (again); "
                f"an answer counts from state {self._access.answer_state}.",
                "Nothing to do: the answer is fetched when the assessor has submitted it again.",
                system=SYSTEM,
            )


def _is_same(participant: ListedParticipant, candidate: ParticipantPlace) -> bool:
    return participant.participant_id == candidate.participant_id


def _may_be_same(participant: ListedParticipant, candidate: ParticipantPlace) -> bool:
    return participant.participant_id in (None, candidate.participant_id)


def _submission(candidate: ParticipantPlace, listed: Sequence[ListedParticipant]) -> int | None:
    """The candidate's submission in the list. If the list does not have the candidate, the submission known before."""
    known = (one.submission_id for one in listed if isinstance(one, Participant) and _is_same(one, candidate))
    return next(known, candidate.submission_id)


def _values(lists: dict[int, Entry[ParticipantList]]) -> dict[int, ParticipantList]:
    return {flow_id: entry.value for flow_id, entry in lists.items()}


def _characters(comments: Sequence[ListedComment]) -> int:
    return sum(len(comment.content or "") for comment in comments if isinstance(comment, SubmissionComment))
