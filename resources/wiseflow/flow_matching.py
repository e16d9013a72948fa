"""Chooses the flow, the participant and the comment, and so decides whose answer a student gets.

These are the rules of contract 4.3 and 4.8, without any reading or writing. Every uncertain choice is an error that a person
sees, because a wrong match would show a student another student's explanation.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from casebridge.errors import PermanentError, TransientError
from casebridge.exams.identity import Comparison, Person, compare, contradiction
from casebridge.exams.visible_text import says_something
from casebridge.personal_data import Personal
from resources.wiseflow.participant_list import ListedParticipant, ParticipantList
from resources.wiseflow.places import SYSTEM, FlowPlace, ParticipantPlace
from resources.wiseflow.records import (
    ACCEPTED,
    MARKED_STATES,
    NOT_ACTIVATED,
    REPEATED_VARIANTS,
    USUAL_NAMES,
    EvidenceNames,
    Explanation,
    Flow,
    Participant,
    SubmissionComment,
    UnreadableComment,
    UnreadableParticipant,
)

COMMENT: Final = "submission-comment"
SURE: Final = 2
"""With this many agreeing pieces of evidence, a participant is chosen although another one is contradictory."""
NAMED: Final = 5
"""At most this many participants are named in a message."""
SHARED_WITH_PARTICIPANT: Final = frozenset({"PARTICIPANTS", "ALL"})


def same_source_code(code: str | None, wanted: str) -> bool:
    """Whether a flow's source code is exactly the exam's. A search may find codes that only begin like it.

    Separators at the end are ignored, as in WISEflow's own search.
    """
    return code is not None and _normal_source_code(code) == _normal_source_code(wanted)


def _normal_source_code(code: str) -> str:
    return unicodedata.normalize("NFC", code).rstrip("|")


def main_flows_wanted(hits: Iterable[Flow]) -> tuple[int, ...]:
    """The main flows of the hits that are not among the hits. `choose_flow` needs them, too."""
    flows = {flow.flow_id: flow for flow in hits}
    mains = {flow.combined_main_flow_id for flow in flows.values() if _may_be_the_exam(flow)}
    return tuple(sorted(main for main in mains if main is not None and main not in flows))


def choose_flow(flows: Sequence[Flow]) -> FlowPlace:
    """The exam's flow among those with its source code and their main flows (contract 4.3 `[inferred]`).

    - Re-examinations, remarkings and flows that are not activated are left out.
    - A sub-flow is replaced by its main flow.
    - A flow whose participation has ended is preferred to one that still runs.

    Raises `PermanentError` `wiseflow.flow_missing` or `wiseflow.flow_ambiguous`.
    """
    by_id = {flow.flow_id: flow for flow in flows if _may_be_the_exam(flow)}
    mains = {flow_id: _main_of(flow, by_id) for flow_id, flow in by_id.items()}
    places = {main.flow_id: main for main in mains.values() if main is not None}
    best = [flow for flow in places.values() if flow.state in MARKED_STATES] or list(places.values())
    if not best:
        raise _flow_missing(flows)
    if len(best) > 1:
        raise _flow_ambiguous(best)
    main = best[0]
    claimed = {flow_id for flow_id, owner in mains.items() if owner is main and flow_id != main.flow_id}
    return FlowPlace(main.flow_id, tuple(sorted(claimed.union(main.combined_sub_flow_ids) - {main.flow_id})))


def _may_be_the_exam(flow: Flow) -> bool:
    return flow.variant not in REPEATED_VARIANTS and flow.state != NOT_ACTIVATED


def _main_of(flow: Flow, by_id: Mapping[int, Flow]) -> Flow | None:
    """The flow itself, or the main flow of a sub-flow. `None` if that main flow cannot be the exam's."""
    return flow if flow.combined_main_flow_id is None else by_id.get(flow.combined_main_flow_id)


def _flow_missing(flows: Sequence[Flow]) -> PermanentError:
    found_ids = ", ".join(str(flow.flow_id) for flow in flows)
    cause = "No flow in WISEflow carries the exam's source code."
    if found_ids:
        cause = f"No flow with the exam's source code can hold it: {found_ids} not activated, a re-examination or a remarking."
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


ListedComment = SubmissionComment | UnreadableComment


def match_candidate(
    place: FlowPlace,
    participants: Mapping[int, Sequence[ListedParticipant]],
    person: Person,
    names: EvidenceNames = USUAL_NAMES,
) -> ParticipantPlace:
    """The person's participant on the exam's flow or its sub-flows (contract 4.3 `[inferred]`).

    - Candidate number, user name and FS number are compared with each participant by the rule of `identity`.
    - The participant with the most agreeing pieces is chosen. For a person on the main flow and a sub-flow, the main flow counts.
    - A row that cannot be read is never chosen. If it may fit the person as well, no participant is chosen.

    Raises `PermanentError` `identity.contradiction`, `wiseflow.participant_missing` or `wiseflow.participant_ambiguous`.
    """
    lists = {flow_id: ParticipantList.of(participants.get(flow_id, ()), names) for flow_id in place.flow_ids}
    alike = [
        _Located(flow_id, participant, compare(person, participant.evidence(names)))
        for flow_id, listed in lists.items()
        for participant in listed.with_a_mark_of(person)
    ]
    same = [one for one in alike if one.comparison.is_same]
    contradictory = [one for one in alike if one.comparison.is_contradictory]
    most = max((len(one.comparison.agreeing) for one in same), default=0)
    if contradictory and most < SURE:
        one = contradictory[0]
        raise contradiction(SYSTEM, one.place.name, one.comparison)
    if not same:
        raise _participant_missing(place, [one for listed in lists.values() for one in listed.unreadable])
    chosen = _only_person([one for one in same if len(one.comparison.agreeing) == most], place)
    rivals = [
        _named(one, flow_id)
        for flow_id, listed in lists.items()
        for one in listed.unreadable
        if not _is_the_same(chosen, flow_id, one, place)
        and _may_be_better(one, compare(person, one.known.evidence(names)), most)
    ]
    if rivals:
        raise _participant_unreadable(rivals)
    return chosen.place


def _is_the_same(chosen: "_Located", flow_id: int, one: UnreadableParticipant, place: FlowPlace) -> bool:
    """Whether the row is another row of the chosen participant, or of the same person on a sub-flow."""
    if flow_id == chosen.flow_id:
        return one.participant_id == chosen.participant.participant_id
    person = one.known.person
    return chosen.flow_id == place.flow_id and person is not None and person == chosen.participant.person


def _may_be_better(one: UnreadableParticipant, comparison: Comparison, most: int) -> bool:
    """Whether a row that cannot be read may fit the person as well as the chosen participant.

    - If the choice rests on one piece of evidence, the row may fit if a piece of it agrees, if none contradicts, or if its
      candidate number cannot be read.
    - If it rests on more, the row may fit only if a readable piece agrees, none contradicts, and the row could reach as many
      pieces together with its unreadable fields.
    """
    if most >= SURE:
        return comparison.is_same and len(comparison.agreeing) + one.pieces_unread >= most
    return bool(comparison.agreeing) or one.may_have_any_number or not comparison.contradicting


def _named(one: ListedParticipant, flow_id: int) -> str:
    return f"{'one without an id' if one.participant_id is None else one.participant_id} on flow {flow_id}"


def _participant_unreadable(rivals: Sequence[str]) -> PermanentError:
    return PermanentError(
        "wiseflow.participant_ambiguous",
        f"A participant in WISEflow fits the candidate of the request, and {len(rivals)} that cannot be read may fit as well: "
        f"{', '.join(rivals[:NAMED])}.",
        "Show the list of the flow's participants to the vendor; replay the message when it is right.",
        system=SYSTEM,
    )


def participant_unreadable(candidate: ParticipantPlace) -> TransientError:
    """The error about a participant that was found before but cannot be read now."""
    return TransientError(
        "wiseflow.participants_unreadable",
        f"Participant {candidate.participant_id} of flow {candidate.flow_id} cannot be read in the flow's list any more, or is "
        "perhaps one there that does not say who it is.",
        "Show the list of the flow's participants to the vendor; when it is right, replay the message.",
        system=SYSTEM,
    )


@dataclass(frozen=True)
class _Located:
    """A participant, the flow on which it was found, and the comparison with the person."""

    flow_id: int
    participant: Participant
    comparison: Comparison

    @property
    def place(self) -> ParticipantPlace:
        return ParticipantPlace(self.flow_id, self.participant.participant_id, self.participant.submission_id)


def _only_person(matches: Sequence[_Located], place: FlowPlace) -> _Located:
    """The only match, or the match on the main flow if the others are certainly the same person on sub-flows.

    Raises `PermanentError` `wiseflow.participant_ambiguous` otherwise.
    """
    persons = {one.participant.person for one in matches}
    on_main = [one for one in matches if one.flow_id == place.flow_id]
    if len(matches) == 1:
        return matches[0]
    if len(on_main) == 1 and len(persons) == 1 and None not in persons:
        return on_main[0]
    named = ", ".join(_named(one.participant, one.flow_id) for one in matches)
    raise PermanentError(
        "wiseflow.participant_ambiguous",
        f"Several participants in WISEflow could be the candidate: {named}.",
        "Correct the candidate numbers of the flow in WISEflow or FS, then replay the message.",
        system=SYSTEM,
    )


def _participant_missing(place: FlowPlace, unreadable: Sequence[ListedParticipant]) -> PermanentError:
    named = ", ".join(str(flow_id) for flow_id in place.flow_ids)
    if unreadable:
        rows = ", ".join(str(one.participant_id or "without an id") for one in unreadable[:NAMED])
        return PermanentError(
            "wiseflow.participant_missing",
            f"No participant of flow {named} in WISEflow that can be read is the candidate of the request; {len(unreadable)} "
            f"cannot be read: {rows}.",
            "Show the list of the flow's participants to the vendor; replay the message when it is right.",
            system=SYSTEM,
        )
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
    explanation: Explanation, comments: Iterable[ListedComment], submission_id: int | None
) -> SubmissionComment | None:
    """The comment that may be the answer: the assigned assessor's newest one since the request that the participant can see.

    Only a comment on the participant's own submission counts, so without a submission there is none (contract 4.8). Raises
    `TransientError` `wiseflow.comment_unreadable` if a comment there cannot be read, because it may be the newest.
    """
    if submission_id is None:
        return None
    own = [comment for comment in comments if comment.container_id == submission_id]
    if any(isinstance(comment, UnreadableComment) for comment in own):
        raise _comment_unreadable(explanation, submission_id)
    candidates = [
        comment
        for comment in own
        if isinstance(comment, SubmissionComment)
        and comment.share_type in SHARED_WITH_PARTICIPANT
        and comment.created_at >= explanation.request_date
        and _by_assigned_assessor(explanation, comment)
        and comment.content is not None
        and says_something(comment.content)
    ]
    return max(candidates, key=lambda comment: (comment.changed_at, comment.comment_id), default=None)


def _comment_unreadable(explanation: Explanation, submission_id: int) -> TransientError:
    return TransientError(
        "wiseflow.comment_unreadable",
        f"A comment on submission {submission_id} cannot be read. It may be the answer to explanation request "
        f"{explanation.explanation_id}.",
        "Show the flow's list of submission comments to the vendor, or ask the assessor to write the comment again. Then replay "
        "the message.",
        system=SYSTEM,
    )


def _by_assigned_assessor(explanation: Explanation, comment: SubmissionComment) -> bool:
    """Whether the assigned assessor wrote the comment.

    The ids on the flow are compared. If one of them is missing, the ids of the users are compared.
    """
    assessor = explanation.assigned_assessor
    if assessor is None:
        return False
    if assessor.assessor_id is not None and comment.assessor_id is not None:
        return assessor.assessor_id == comment.assessor_id
    return assessor.user_id is not None and assessor.user_id == comment.assessor_user_id


def find_answer(
    explanation: Explanation,
    comments: Iterable[ListedComment],
    submission_id: int | None,
    seen_at: datetime,
    now: datetime,
) -> FoundAnswer | None:
    """The answer in the order of contract 4.8: the text on the request, else the assessor's comment, else none.

    Its moment is the one from which the student could have it: the acceptance or the writing of the comment, whichever is later.
    So it is never before the text existed. The date of an earlier acceptance does not count for a text that was submitted since.
    If WISEflow does not date a text, the moment is `seen_at`, when we first saw it.
    """
    accepted_at = explanation.accept_date if explanation.state == ACCEPTED else None
    if explanation.text is not None:
        given_at = _given_at([accepted_at], explanation, seen_at, now)
        return FoundAnswer(explanation.text, given_at, "justification")
    comment = choose_comment(explanation, comments, submission_id)
    if comment is None or comment.content is None:
        return None
    dates = [accepted_at, comment.created_at, comment.updated_at]
    return FoundAnswer(comment.content, _given_at(dates, explanation, seen_at, now), COMMENT)


def _given_at(dates: Iterable[datetime | None], explanation: Explanation, seen_at: datetime, now: datetime) -> datetime:
    """The latest of the dates. It starts the time for an appeal (contract 7), so it is not before the request or in the future.

    A date before the request is ignored. A date in the future is replaced by `seen_at`.
    """
    latest = max(seen_at, now)
    possible = [seen_at if date > latest else date for date in dates if date and date >= explanation.request_date]
    return max(possible, default=seen_at)
