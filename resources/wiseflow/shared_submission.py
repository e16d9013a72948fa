"""Who shares a submission with a candidate: a comment there is on theirs, too.

Pure rules, without any reading or writing. Where several who handed in together have asked, nobody but a person can tell whose a
comment is (contract 4.8 names none).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from casebridge.errors import PermanentError, TransientError
from resources.wiseflow.participant_list import ListedParticipant
from resources.wiseflow.places import SYSTEM, ParticipantPlace
from resources.wiseflow.records import Explanation, Participant, UnreadableExplanation, UnreadableParticipant

NAMED: Final = 5
"""So many of many are named in a message."""


@dataclass(frozen=True)
class Sharers:
    """Other participants of the flow, by their ids; `None` is one that does not say who it is."""

    surely: frozenset[int]
    perhaps: frozenset[int | None]
    """Those of whom a row that cannot be read leaves it open."""

    def __bool__(self) -> bool:
        return bool(self.surely or self.perhaps)


def sharers(candidate: ParticipantPlace, everyone: Sequence[ListedParticipant]) -> Sharers:
    """The other participants that have the candidate's submission or group.

    A row that cannot be read is excluded by what can be read of it, and by what can be read of the candidate: who has no group
    shares nothing with it, unless it says the same submission.
    """
    own = [one for one in everyone if one.participant_id == candidate.participant_id]
    submissions = {candidate.submission_id, *(one.submission_id for one in own)} - {None}
    groups = {_said(one).group_id for one in own} - {None}
    may_have_a_group = any(map(_may_be_in_any_group, own or everyone)) and not groups
    surely, perhaps = set[int](), set[int | None]()
    for one in everyone:
        if one.participant_id == candidate.participant_id:
            continue
        group = _said(one).group_id
        if one.submission_id in submissions or group in groups:
            # Without an id it shares, and nobody can tell whether it asked.
            (perhaps.add(None) if one.participant_id is None else surely.add(one.participant_id))
        elif (may_have_a_group and group is not None) or ((may_have_a_group or groups) and _may_be_in_any_group(one)):
            perhaps.add(one.participant_id)
    return Sharers(frozenset(surely), frozenset(perhaps))


def check_asked_alone(
    explanation: Explanation,
    candidate: ParticipantPlace,
    others: Sharers,
    everyone: Sequence[ListedParticipant],
    rows: Sequence[Explanation | UnreadableExplanation],
) -> None:
    """`rows` are all explanation requests of the flow.

    Raises `PermanentError` `identity.group_text` when one of `others` asked, too, and `TransientError`
    `wiseflow.participants_unreadable` while nobody can tell whether one did.
    """
    theirs = [
        whose
        for row in rows
        if (whose := _whose(row)) != candidate.participant_id and row.explanation_id != explanation.explanation_id
    ]
    if any(whose in others.surely for whose in theirs):
        raise _group_text(explanation.explanation_id, candidate.flow_id)
    listed = {one.participant_id for one in everyone}
    if any(_may_be_one(whose, others, listed) for whose in theirs):
        raise _unreadable(explanation.explanation_id, candidate.flow_id, everyone)


def _said(one: ListedParticipant) -> Participant:
    return one.known if isinstance(one, UnreadableParticipant) else one


def _may_be_in_any_group(one: ListedParticipant) -> bool:
    return isinstance(one, UnreadableParticipant) and one.may_be_in_any_group


def _whose(row: Explanation | UnreadableExplanation) -> int | None:
    if isinstance(row, UnreadableExplanation):
        return row.participant_id
    return row.participant.participant_id if row.participant else None


def _may_be_one(whose: int | None, others: Sharers, listed: Collection[int | None]) -> bool:
    if whose is None:
        return bool(others)
    return whose in others.perhaps or (None in others.perhaps and whose not in listed)


def _group_text(explanation_request_id: int, flow_id: int) -> PermanentError:
    return PermanentError(
        "identity.group_text",
        f"Explanation request {explanation_request_id} on flow {flow_id} is about a submission that several participants "
        "handed in together, and more than one of them asked: WISEflow does not say whose the comment is.",
        "Read the comments in WISEflow, decide which text is whose, and register it in FS by hand; then discard the message.",
        system=SYSTEM,
    )


def _unreadable(explanation_request_id: int, flow_id: int, everyone: Sequence[ListedParticipant]) -> TransientError:
    bad = [one for one in everyone if isinstance(one, UnreadableParticipant)]
    which = ", ".join(str(one.participant_id or "without an id") for one in bad[:NAMED])
    what = f"participants ({which})" if bad else "explanation requests"
    return TransientError(
        "wiseflow.participants_unreadable",
        f"Explanation request {explanation_request_id} on flow {flow_id} may be about a submission that several participants "
        f"handed in together, and more than one of them may have asked: the flow lists {what} that cannot be read.",
        "Show the flow's lists of participants and explanation requests to the vendor; when they are right, replay the message.",
        system=SYSTEM,
    )
