"""Participants that cannot be read match nobody, hide no other participant, and do not make another one the match."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from casebridge.errors import PermanentError
from casebridge.exams.identity import Person, compare
from resources.wiseflow.flow_matching import match_candidate
from resources.wiseflow.places import FlowPlace
from resources.wiseflow.records import USUAL_NAMES, Participant, UnreadableParticipant
from tests.support.wiseflow_rows import bad_row as row
from tests.support.wiseflow_rows import feide, participant

KARI = Person(1042, 481223, "kari.n", "uis.no")


def can_be_read(row: Any) -> bool:
    try:
        Participant.model_validate(row)
    except ValueError:
        return False
    return True


class TestUnreadableRival:
    """A participant that cannot be read does not count as absent: it may be the person."""

    thin = participant(1, "1042")
    sure = participant(1, "1042", names=("kari.n",))

    def find(self, one: Participant, *rows: Any) -> int:
        listed = {1: [one, *(UnreadableParticipant.of(each) for each in rows)]}
        return match_candidate(FlowPlace(1), listed, KARI).participant_id

    def test_the_better_match_does_not_pass_to_another_when_its_row_cannot_be_read(self) -> None:
        bad = row(uniqueExamId="1042", user=feide("kari.n@uis.no"))
        with pytest.raises(PermanentError) as caught:
            self.find(self.thin, bad)
        assert caught.value.code == "wiseflow.participant_ambiguous"
        assert "1 that cannot be read may fit as well: 2 on flow 1." in caught.value.cause
        assert "vendor" in caught.value.next_action
        assert not {"1042", "kari"} & set(str(caught.value).replace(".", " ").split())
        mended = Participant.model_validate({**bad, "userId": 20})
        listed = {1: [self.thin, mended]}
        assert match_candidate(FlowPlace(1), listed, KARI).participant_id == 2

    @pytest.mark.parametrize(
        "bad",
        [
            "x",
            None,
            [],
            {},
            row(uniqueExamId="1042"),
            row(uniqueExamId=" 01042 "),
            row(uniqueExamId=1042),
            row(uniqueExamId={"a": 1}),
            row(uniqueExamId=[]),
            row(uniqueExamId="1043", user=feide("kari.n")),
            row(uniqueExamId=None, user=feide("kari.n")),
            row(uniqueExamId=None, user="x"),
            row(uniqueExamId="1043", user={"id": "x", "externalIds": [{}, {"name": "FS", "value": 481223}]}),
        ],
    )
    def test_an_unreadable_row_stops_a_match_by_one_piece_but_not_by_two(self, bad: Any) -> None:
        with pytest.raises(PermanentError) as caught:
            self.find(self.thin, bad)
        assert caught.value.code == "wiseflow.participant_ambiguous"
        assert self.find(self.sure, bad) == 1

    @pytest.mark.parametrize(
        "bad",
        [
            row(uniqueExamId="1043"),
            row(uniqueExamId="1043", user="x"),
            row(uniqueExamId="1043", participantId=[]),
            row(uniqueExamId=None, user=feide("ola.s")),
            row(user=feide("ola.s"), submissionId={}),
            row(None),
        ],
    )
    def test_a_row_that_is_certainly_another_person_stops_no_match(self, bad: Any) -> None:
        assert self.find(self.thin, bad) == 1

    @pytest.mark.parametrize(
        "bad",
        [
            row(uniqueExamId="1042", user=feide("kari.n")),
            row(uniqueExamId="1042", user="x"),
            row(uniqueExamId=None, user={"externalIds": [{"name": "FS", "value": "481223"}, "x", 7]}),
        ],
    )
    def test_a_row_that_may_fit_as_well_stops_also_a_match_by_two(self, bad: Any) -> None:
        with pytest.raises(PermanentError) as caught:
            self.find(self.sure, bad)
        assert caught.value.code == "wiseflow.participant_ambiguous"

    def test_a_second_row_of_the_chosen_participant_stops_no_match(self) -> None:
        assert self.find(self.thin, row(1, uniqueExamId="1042")) == 1

    def test_the_same_person_on_a_sub_flow_stops_no_match(self) -> None:
        bad = {"participantId": 8, "uniqueExamId": "1042", "userId": 10, "groupId": {}}
        listed = {1: [self.thin], 2: [UnreadableParticipant.of(bad)]}
        assert match_candidate(FlowPlace(1, (2,)), listed, Person(1042, 1, None, "uis.no")).participant_id == 1
        other = {1: [self.thin], 2: [UnreadableParticipant.of({**bad, "userId": 11})]}
        with pytest.raises(PermanentError):
            match_candidate(FlowPlace(1, (2,)), other, Person(1042, 1, None, "uis.no"))

    @given(
        field=st.sampled_from(["participantId", "uniqueExamId", "userId", "submissionId", "groupId", "user", ""]),
        malformed=st.sampled_from(["x", [], {}, [[]], True, -1, 1e300, "\ud800"]),
        pieces=st.tuples(*(st.sampled_from(["hers", "another's", None]) for _ in range(6))),
    )
    def test_no_misstated_row_moves_a_request_to_another_participant(
        self, field: str, malformed: Any, pieces: tuple[str | None, ...]
    ) -> None:
        """In general: of two participants, an error in one row never makes the other one the match."""
        said = {"hers": ("1042", "kari.n", "481223"), "another's": ("1043", "ola.s", "7"), None: (None,) * 3}
        rows = []
        for place, who in enumerate((pieces[:3], pieces[3:])):
            number, name, fs = (said[one][index] for index, one in enumerate(who))
            known = [{"name": "Feide", "value": name}, {"name": "FS", "value": fs}]
            rows.append(
                {
                    "participantId": place + 1,
                    "uniqueExamId": number,
                    "userId": place + 10,
                    "user": {"id": place + 10, "externalIds": [one for one in known if one["value"]]},
                }
            )
        good = [Participant.model_validate(one) for one in rows]
        try:
            right: int | None = match_candidate(FlowPlace(1), {1: good}, KARI).participant_id
        except PermanentError:
            right = None
        bad = {**rows[1], field: malformed} if field else malformed
        assume(not can_be_read(bad))
        try:
            found = match_candidate(FlowPlace(1), {1: [good[0], UnreadableParticipant.of(bad)]}, KARI).participant_id
        except PermanentError:
            return
        # A number of another person excludes a row. Two agreeing pieces outweigh it, if it says nothing about them.
        sure = pieces[:3].count("hers") >= 2
        said_hers = bool(compare(KARI, UnreadableParticipant.of(bad).known.evidence(USUAL_NAMES)).agreeing)
        assert found == right or pieces[3] == "another's" or (sure and not said_hers)
