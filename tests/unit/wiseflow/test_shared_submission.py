"""Who shares a submission, and whether a comment on it certainly belongs to one student."""

from typing import Any

import pytest

from casebridge.errors import CaseError
from resources.wiseflow.places import ParticipantPlace
from resources.wiseflow.records import Participant, UnreadableExplanation, UnreadableParticipant
from resources.wiseflow.shared_submission import check_asked_alone, sharers
from tests.support.wiseflow_rows import bad_row as row
from tests.support.wiseflow_rows import explanation, participant

GROUP_TEXT, UNREAD = "identity.group_text", "wiseflow.participants_unreadable"


class TestSharers:
    """Who shares a submission with a candidate, and who may share it."""

    alone = ParticipantPlace(1, 1, 500)

    def of(self, candidate: ParticipantPlace, *rows: Any) -> tuple[set[int], set[int | None]]:
        everyone = [one if isinstance(one, Participant) else UnreadableParticipant.of(one) for one in rows]
        found = sharers(candidate, everyone)
        return set(found.surely), set(found.perhaps)

    def test_one_submission_or_one_group_is_shared(self) -> None:
        everyone = [
            participant(1, submission_id=500),
            participant(2, submission_id=500),
            participant(3, submission_id=501),
            participant(4, submission_id=None),
            participant(5, submission_id=None),
        ]
        assert self.of(self.alone, *everyone) == ({2}, set())
        assert self.of(ParticipantPlace(1, 3, 501), *everyone) == (set(), set())
        assert self.of(ParticipantPlace(1, 4, None), *everyone) == (set(), set()), (
            "nothing was handed in, so nothing is shared"
        )
        grouped = [in_group(one, 7) if one.participant_id in (1, 3) else one for one in everyone]
        assert self.of(ParticipantPlace(1, 3, 501), *grouped) == ({1}, set())

    def test_the_list_and_the_case_both_count(self) -> None:
        everyone = [participant(1, submission_id=500), participant(2, submission_id=500)]
        assert self.of(ParticipantPlace(1, 2, 501), *everyone) == ({1}, set())

    @pytest.mark.parametrize("unset", [0, "", None, "0", " "])
    def test_participants_without_a_group_are_not_one_group(self, unset: Any) -> None:
        everyone = [
            Participant.model_validate({"participantId": one, "submissionId": 500 + one, "groupId": unset})
            for one in range(1, 4)
        ]
        assert self.of(ParticipantPlace(1, 1, 501), *everyone) == (set(), set())

    def test_participants_without_a_submission_do_not_share_one(self) -> None:
        everyone = [Participant.model_validate({"participantId": one, "submissionId": 0}) for one in range(1, 4)]
        assert self.of(ParticipantPlace(1, 1, None), *everyone) == (set(), set())

    @pytest.mark.parametrize("bad", ["x", None, {}, {"participantId": 2}, row(submissionId=None, groupId=None)])
    def test_a_participant_without_a_group_shares_nothing_with_an_unreadable_row(self, bad: Any) -> None:
        assert self.of(self.alone, participant(1, submission_id=500), bad) == (set(), set())

    def test_the_same_submission_is_shared_whatever_else_cannot_be_read(self) -> None:
        listed = [participant(1, submission_id=500), row(submissionId=500), row("x", submissionId=500)]
        assert self.of(self.alone, *listed) == ({2}, {None})

    def test_a_participant_with_a_group_may_share_it_with_a_row_without_a_readable_group(self) -> None:
        one = in_group(participant(1, submission_id=500), "7")
        rows = [
            row(2, groupId="7"), row(3, groupId=7), row(4, groupId={}), row(5, groupId=8), row(6, groupId=0), row(7), "x",
        ]  # fmt: skip
        assert self.of(self.alone, one, *rows) == ({2, 3}, {4, None})

    def test_a_candidate_whose_own_row_cannot_be_read_may_be_in_any_group(self) -> None:
        others = [
            in_group(participant(2, submission_id=None), "7"),
            participant(3, submission_id=501),
            row(4, groupId=[]),
        ]
        assert self.of(self.alone, row(1, groupId=[]), *others) == (set(), {2, 4})
        assert self.of(self.alone, "x", *others) == (set(), {2, 4, None}), "its row is perhaps the one without an id"
        assert self.of(self.alone, row(1), *others) == (set(), set()), "its row says that it has no group"
        assert self.of(self.alone, row(1, groupId=7), *others) == ({2}, {4})


class TestAskedAlone:
    """A comment is used only if certainly nobody else of those who share the submission has asked."""

    candidate = ParticipantPlace(1, 7, 500)

    def outcome(self, rows: list[Any], *others: Any, of: Any = None) -> str:
        own = of or in_group(participant(7, submission_id=500), "7")
        listed = [one if isinstance(one, Participant) else UnreadableParticipant.of(one) for one in (own, *others)]
        asked = [explanation(), *rows]
        try:
            check_asked_alone(explanation(), self.candidate, sharers(self.candidate, listed), listed, asked)
        except CaseError as error:
            return error.code
        return "alone"

    def asked_by(self, participant_id: int | None) -> Any:
        participant = {"participantId": participant_id} if participant_id else None
        return explanation(explanationId=90 + (participant_id or 0), participant=participant)

    def test_a_request_of_another_member_is_a_permanent_error(self) -> None:
        friend = in_group(participant(2, submission_id=500), "7")
        assert self.outcome([], friend) == "alone"
        assert self.outcome([self.asked_by(3)], friend) == "alone"
        assert self.outcome([self.asked_by(2)], friend) == GROUP_TEXT
        assert self.outcome([self.asked_by(2)], row(2, submissionId=500)) == GROUP_TEXT

    def test_an_unclear_case_waits(self) -> None:
        friend = in_group(participant(2, submission_id=500), "7")
        assert self.outcome([self.asked_by(2)], row(2, groupId={})) == UNREAD
        assert self.outcome([self.asked_by(2)], "x") == UNREAD, "the row may be the one who asked"
        assert self.outcome([self.asked_by(2)], participant(2, submission_id=501), "x") == "alone"
        assert self.outcome([self.asked_by(None)], friend) == UNREAD
        assert self.outcome([UnreadableExplanation.of("x")], friend) == UNREAD
        unread = {"explanationId": 92, "participant": {"participantId": 2}}
        assert self.outcome([UnreadableExplanation.of(unread)], friend) == GROUP_TEXT

    def test_the_candidates_own_request_does_not_count(self) -> None:
        """The candidate's own row or request cannot be read, or is not listed."""
        own = [UnreadableExplanation.of({"explanationId": 9}), self.asked_by(7)]
        assert self.outcome(own, "x", of=row(1)) == "alone"
        assert self.outcome(own, in_group(participant(2, submission_id=500), "7")) == "alone"

    @pytest.mark.parametrize("bad", ["x", row(2, user="x", submissionId=None, groupId=None), row(2, groupId={}), None])
    def test_an_unreadable_request_does_not_affect_single_submissions(self, bad: Any) -> None:
        """In general: an unreadable row has no effect on others in a flow without groups."""
        assert self.outcome([self.asked_by(2), self.asked_by(3)], bad, of=participant(7, submission_id=500)) == "alone"


def in_group(one: Participant, group: Any) -> Participant:
    return one.model_copy(update={"group_id": str(group)})
