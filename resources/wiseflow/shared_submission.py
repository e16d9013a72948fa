"""Finds the participants who share a submission with a candidate. A comment on the submission may be for any of them.

These are pure rules, without any reading or writing. If several of the participants have asked, only a person can decide whose a
comment is, because contract 4.8 has no rule for it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from casebridge.errors import PermanentError, TransientError
from resources.wiseflow.participant_list import ListedParticipant
from resources.wiseflow.places import SYSTEM, ParticipantPlace
from resources.wiseflow.records import Explanation, Participant, UnreadableExplanation, UnreadableParticipant

NAMED: Final = 5
"""At most this many participants are named in a message."""


@dataclass(frozen=True)
class Sharers:
    """Other participants of the flow, by their ids. `None` is a participant whose id cannot be read."""

    surely: frozenset[int]
    perhaps: frozenset[int | None]
    """Participants that may share the submission: an unreadable row leaves it open."""

    def __bool__(self) -> bool:
        return bool(self.surely or self.perhaps)


def sharers(candidate: ParticipantPlace, everyone: Sequence[ListedParticipant]) -> Sharers:
    """The other participants that have the candidate's submission or group.

    An unreadable row is excluded by its readable fields, and by those of the candidate. A candidate without a group shares
    nothing with it, unless the row has the same submission.
    """
    own = [one for one in everyone if one.participant_id == candidate.participant_id]
    submissions = {candidate.submission_id, *(one.submission_id for one in own)} - {None}
    groups = {_known_fields(one).group_id for one in own} - {None}
    may_have_a_group = any(map(_may_be_in_any_group, own or everyone)) and not groups
    surely, perhaps = set[int](), set[int | None]()
    for one in everyone:
        if one.participant_id == candidate.participant_id:
            continue
        group = _known_fields(one).group_id
        if one.submission_id in submissions or group in groups:
            # A row without an id shares the submission, but it is unknown whether that participant asked.
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
    """Check that none of `others` asked, too. `rows` are all explanation requests of the flow.

    Raises `PermanentError` `identity.group_text` if one of `others` asked, and `TransientError`
    `wiseflow.participants_unreadable` while that is unknown.
    """
    other_owners = [
        owner
        for row in rows
        if (owner := _owner(row)) != candidate.participant_id and row.explanation_id != explanation.explanation_id
    ]
    if any(owner in others.surely for owner in other_owners):
        raise _group_text(explanation.explanation_id, candidate.flow_id)
    listed = {one.participant_id for one in everyone}
    if any(_may_share(owner, others, listed) for owner in other_owners):
        raise _unreadable(explanation.explanation_id, candidate.flow_id, everyone)


def _known_fields(one: ListedParticipant) -> Participant:
    return one.known if isinstance(one, UnreadableParticipant) else one


def _may_be_in_any_group(one: ListedParticipant) -> bool:
    return isinstance(one, UnreadableParticipant) and one.may_be_in_any_group


def _owner(row: Explanation | UnreadableExplanation) -> int | None:
    if isinstance(row, UnreadableExplanation):
        return row.participant_id
    return row.participant.participant_id if row.participant else None


def _may_share(owner: int | None, others: Sharers, listed: Collection[int | None]) -> bool:
    if owner is None:
        return bool(others)
    return owner in others.perhaps or (None in others.perhaps and owner not in listed)


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
