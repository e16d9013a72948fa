"""Which flow, which participant and which comment: the choices that decide whose answer a student gets.

Pure rules of contract 4.3 and 4.8, without any reading or writing. Whatever is not certain is an error that a person sees: a
wrong match would show one student another student's explanation.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from casebridge.errors import PermanentError
from casebridge.exams.models import CandidatePlace, ExamPlace
from casebridge.exams.visible_text import says_something
from casebridge.exams.wiseflow_records import (
    MARKED_STATES,
    NOT_ACTIVATED,
    REPEATED_VARIANTS,
    Explanation,
    Flow,
    Participant,
    SubmissionComment,
)
from casebridge.personal_data import Personal

SYSTEM: Final = "WISEflow"
SHARED_WITH_PARTICIPANT: Final = frozenset({"PARTICIPANTS", "ALL"})


def same_source_code(code: str | None, wanted: str) -> bool:
    """Whether a flow's source code is exactly the exam's: a search may hit codes that only begin like it."""
    return code is not None and unicodedata.normalize("NFC", code) == unicodedata.normalize("NFC", wanted)


def main_flows_wanted(hits: Iterable[Flow]) -> tuple[int, ...]:
    """The main flows that the hits belong to and that are not among them: `choose_flow` needs them too."""
    flows = {flow.flow_id: flow for flow in hits}
    mains = {flow.combined_main_flow_id for flow in flows.values() if _may_hold_the_exam(flow)}
    return tuple(sorted(main for main in mains if main is not None and main not in flows))


def choose_flow(flows: Sequence[Flow]) -> ExamPlace:
    """The exam's flow among those that carry its source code, main flows included (contract 4.3 `[inferred]`).

    Re-examinations, remarkings and flows that are not activated are left out; a sub-flow stands for its main flow; a flow whose
    participation has ended goes before one that still runs. Raises `PermanentError` `wiseflow.flow_missing` or
    `wiseflow.flow_ambiguous`.
    """
    by_id = {flow.flow_id: flow for flow in flows if _may_hold_the_exam(flow)}
    mains = {flow_id: _main_of(flow, by_id) for flow_id, flow in by_id.items()}
    places = {main.flow_id: main for main in mains.values() if main is not None}
    best = [flow for flow in places.values() if flow.state in MARKED_STATES] or list(places.values())
    if not best:
        raise _flow_missing(flows)
    if len(best) > 1:
        raise _flow_ambiguous(best)
    main = best[0]
    claimed = {flow_id for flow_id, owner in mains.items() if owner is main and flow_id != main.flow_id}
    return ExamPlace(main.flow_id, tuple(sorted(claimed.union(main.combined_sub_flow_ids) - {main.flow_id})))


def _may_hold_the_exam(flow: Flow) -> bool:
    return flow.variant not in REPEATED_VARIANTS and flow.state != NOT_ACTIVATED


def _main_of(flow: Flow, by_id: Mapping[int, Flow]) -> Flow | None:
    """The flow itself, or the main flow of a sub-flow; `None` when that main flow cannot hold the exam."""
    return flow if flow.combined_main_flow_id is None else by_id.get(flow.combined_main_flow_id)


def _flow_missing(flows: Sequence[Flow]) -> PermanentError:
    seen = ", ".join(str(flow.flow_id) for flow in flows)
    cause = "No flow in WISEflow carries the exam's source code."
    if seen:
        cause = (
            f"No flow with the exam's source code can hold it: {seen} not activated, a re-examination or a remarking."
        )
    return PermanentError(
        "wiseflow.flow_missing",
        cause,
        "Connect the flow with the exam from FS (or activate it) in WISEflow, then replay the message.",
        system=SYSTEM,
    )


def _flow_ambiguous(flows: Iterable[Flow]) -> PermanentError:
    named = ", ".join(str(flow_id) for flow_id in sorted(flow.flow_id for flow in flows))
    return PermanentError(
        "wiseflow.flow_ambiguous",
        f"Several flows in WISEflow carry the exam's source code and are equally good: {named}.",
        "Remove the source code from the wrong one (or combine the flows) in WISEflow, then replay the message.",
        system=SYSTEM,
    )


def match_candidate(
    place: ExamPlace,
    participants: Mapping[int, Sequence[Participant]],
    kandidatnr: int,
    brukernavn: str | None,
) -> CandidatePlace:
    """The participant that is the candidate, over the exam's flow and its sub-flows (contract 4.3 `[inferred]`).

    The candidate number decides; only if nobody has it, the Feide name does. Found on the main flow and on a sub-flow, the main
    flow counts. Raises `PermanentError` `wiseflow.participant_missing` or `wiseflow.participant_ambiguous`.
    """
    everyone = [
        _Located(flow_id, participant) for flow_id in place.flow_ids for participant in participants.get(flow_id, ())
    ]
    matches = [one for one in everyone if _has_candidate_number(one.participant, kandidatnr)]
    if not matches and brukernavn:
        matches = [one for one in everyone if _has_user_name(one.participant, brukernavn)]
    if not matches:
        raise _participant_missing(place)
    chosen = _only_person(matches, place)
    return CandidatePlace(chosen.flow_id, chosen.participant.participant_id, chosen.participant.submission_id)


@dataclass(frozen=True)
class _Located:
    """A participant and the flow on which it was found."""

    flow_id: int
    participant: Participant


def _has_candidate_number(participant: Participant, kandidatnr: int) -> bool:
    return participant.unique_exam_id is not None and participant.unique_exam_id.strip() == str(kandidatnr)


def _has_user_name(participant: Participant, brukernavn: str) -> bool:
    return any(same_user_name(name, brukernavn) for name in participant.external_names)


def same_user_name(one: str, other: str) -> bool:
    """Whether two Feide names are one; a realm counts only where both have one (contract 3.2 leaves it open)."""
    local, _, realm = one.strip().casefold().partition("@")
    other_local, _, other_realm = other.strip().casefold().partition("@")
    return bool(local) and local == other_local and (not realm or not other_realm or realm == other_realm)


def _only_person(matches: Sequence[_Located], place: ExamPlace) -> _Located:
    """The one match, or the main flow's when the others are provably the same person on sub-flows."""
    persons = {one.participant.person for one in matches}
    on_main = [one for one in matches if one.flow_id == place.flow_id]
    if len(matches) == 1:
        return matches[0]
    if len(on_main) == 1 and len(persons) == 1 and None not in persons:
        return on_main[0]
    named = ", ".join(f"{one.participant.participant_id} on flow {one.flow_id}" for one in matches)
    raise PermanentError(
        "wiseflow.participant_ambiguous",
        f"Several participants in WISEflow could be the candidate: {named}.",
        "Correct the candidate numbers of the flow in WISEflow or FS, then replay the message.",
        system=SYSTEM,
    )


def _participant_missing(place: ExamPlace) -> PermanentError:
    named = ", ".join(str(flow_id) for flow_id in place.flow_ids)
    return PermanentError(
        "wiseflow.participant_missing",
        f"No participant of flow {named} in WISEflow is the candidate of the request.",
        "Check that the candidate is on the flow with the candidate number from FS, then replay the message.",
        system=SYSTEM,
    )


@dataclass(frozen=True)
class FoundAnswer:
    """An answer's text, the moment from which the student could have it, and where it was found."""

    text: Personal[str] = field(repr=False)
    given_at: datetime
    source: str


def choose_comment(
    explanation: Explanation, comments: Iterable[SubmissionComment], submission_id: int | None
) -> SubmissionComment | None:
    """The comment that can be the answer: the newest of the assigned assessor, shared with the participant, since the request.

    Only a comment on the participant's own submission counts: without a submission no comment does (contract 4.8).
    """
    if submission_id is None:
        return None
    candidates = [
        comment
        for comment in comments
        if comment.container_id == submission_id
        and comment.share_type in SHARED_WITH_PARTICIPANT
        and comment.created_at >= explanation.request_date
        and _by_assigned_assessor(explanation, comment)
        and comment.content is not None
        and says_something(comment.content)
    ]
    return max(candidates, key=lambda comment: (comment.changed_at, comment.comment_id), default=None)


def _by_assigned_assessor(explanation: Explanation, comment: SubmissionComment) -> bool:
    """Compared by the assessor's id on the flow, or by the user's where the flow's id is missing on either side."""
    assessor = explanation.assigned_assessor
    if assessor is None:
        return False
    if assessor.assessor_id is not None and comment.assessor_id is not None:
        return assessor.assessor_id == comment.assessor_id
    return assessor.user_id is not None and assessor.user_id == comment.assessor_user_id


def find_answer(
    explanation: Explanation, comments: Iterable[SubmissionComment], submission_id: int | None
) -> FoundAnswer | None:
    """The answer in the order of contract 4.8: the text on the request, else the assessor's comment, else none.

    Its moment is WISEflow's own and stays the same however often it is read: accepted, else commented, else assigned, else
    requested.
    """
    if explanation.text is not None:
        given_at = explanation.accept_date or explanation.assign_date or explanation.request_date
        return FoundAnswer(explanation.text, given_at, "justification")
    comment = choose_comment(explanation, comments, submission_id)
    if comment is None or comment.content is None:
        return None
    return FoundAnswer(comment.content, explanation.accept_date or comment.changed_at, "submission-comment")
