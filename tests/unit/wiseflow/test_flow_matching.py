"""The choices that decide whose answer a student gets (contract 4.3 and 4.8)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebridge.errors import PermanentError, TransientError
from casebridge.exams.identity import Person
from resources.wiseflow.flow_matching import (
    choose_comment,
    choose_flow,
    find_answer,
    main_flows_wanted,
    match_candidate,
    same_source_code,
)
from resources.wiseflow.places import FlowPlace, ParticipantPlace
from resources.wiseflow.records import Flow, Participant, SubmissionComment, UnreadableComment
from tests.support.wiseflow_rows import ANSWERED, ASKED, comment, explanation, flow, iso, participant


class TestChooseFlow:
    def test_the_only_flow_is_the_exam(self) -> None:
        assert choose_flow([flow(1)]) == FlowPlace(1)

    def test_no_flow_is_an_error_that_waits_for_a_person(self) -> None:
        with pytest.raises(PermanentError) as caught:
            choose_flow([])
        assert caught.value.code == "wiseflow.flow_missing"

    @pytest.mark.parametrize("unfit", [flow(2, variant=1), flow(2, variant=2), flow(2, state=0)])
    def test_repeated_and_inactive_flows_are_left_out(self, unfit: Flow) -> None:
        assert choose_flow([unfit, flow(1)]) == FlowPlace(1)
        with pytest.raises(PermanentError) as caught:
            choose_flow([unfit])
        assert caught.value.code == "wiseflow.flow_missing"
        assert "2" in caught.value.cause

    @pytest.mark.parametrize("ended", [3, 4, 5])
    @pytest.mark.parametrize("running", [1, 2])
    def test_a_flow_that_has_ended_is_preferred_to_a_running_one(self, ended: int, running: int) -> None:
        assert choose_flow([flow(1, state=running), flow(2, state=ended)]) == FlowPlace(2)

    def test_a_running_flow_is_taken_when_there_is_no_other(self) -> None:
        assert choose_flow([flow(1, state=2)]) == FlowPlace(1)

    def test_equally_good_flows_are_an_error_that_names_them(self) -> None:
        with pytest.raises(PermanentError) as caught:
            choose_flow([flow(11, state=3), flow(12, state=5), flow(13, state=2)])
        assert caught.value.code == "wiseflow.flow_ambiguous"
        assert "11, 12" in caught.value.cause
        assert "13" not in caught.value.cause

    def test_a_sub_flow_means_its_main_flow_with_all_sub_flows(self) -> None:
        assert choose_flow([flow(2, main=1), flow(1, subs=(2, 3))]) == FlowPlace(1, (2, 3))

    def test_main_and_sub_flow_with_the_code_are_one_place(self) -> None:
        assert choose_flow([flow(1, subs=(2, 3)), flow(3, main=1), flow(2, main=1)]) == FlowPlace(1, (2, 3))

    def test_a_sub_flow_whose_main_flow_is_a_remarking_does_not_count(self) -> None:
        with pytest.raises(PermanentError) as caught:
            choose_flow([flow(2, main=1), flow(1, variant=2, subs=(2,))])
        assert caught.value.code == "wiseflow.flow_missing"

    def test_main_flows_that_must_still_be_read(self) -> None:
        hits = [flow(2, main=1), flow(3, main=1), flow(4), flow(5, main=4), flow(6, main=9, state=0)]
        assert main_flows_wanted(hits) == (1,)

    @given(
        st.permutations([flow(1, subs=(2,)), flow(2, main=1), flow(3, variant=1), flow(4, state=0), flow(5, state=2)])
    )
    def test_the_order_of_the_hits_does_not_matter(self, flows: list[Flow]) -> None:
        assert choose_flow(flows) == FlowPlace(1, (2,))


class TestSourceCode:
    def test_only_the_exact_code_counts(self) -> None:
        assert same_source_code("901||DAT200||1||S||2025||HØST", "901||DAT200||1||S||2025||HØST")
        assert not same_source_code("901||DAT200||1||S||2025||HØST||2", "901||DAT200||1||S||2025||HØST")
        assert not same_source_code(None, "901")

    def test_separators_at_the_end_do_not_matter(self) -> None:
        assert same_source_code("901||DAT200", "901||DAT200||")
        assert same_source_code("901||DAT200||||", "901||DAT200")
        assert not same_source_code("901||DAT200||1", "901||DAT200||")

    def test_letters_may_be_composed_or_not(self) -> None:
        assert same_source_code("VA\u030aR", "V\u00c5R")


PERSON_NUMBER = 481223


def match(
    place: FlowPlace,
    listed: dict[int, list[Participant]],
    kandidatnr: int = 1042,
    user_name: str | None = None,
) -> ParticipantPlace:
    return match_candidate(place, listed, Person(kandidatnr, PERSON_NUMBER, user_name, "uis.no"))


class TestMatchCandidate:
    place = FlowPlace(1, (2, 3))

    def test_number_and_name_of_two_people_are_an_error(self) -> None:
        listed = {1: [participant(5, "1042", names=("other",)), participant(6, "1043", names=("kari.n",))]}
        with pytest.raises(PermanentError) as caught:
            match(FlowPlace(1), listed, user_name="kari.n")
        assert caught.value.code == "identity.contradiction"
        assert not {"1042", "1043", "kari", "other"} & set(str(caught.value).split())

    def test_two_pieces_outweigh_another_participant_with_one(self) -> None:
        listed = {1: [participant(5, "1042", names=("kari.n",)), participant(6, "1042", names=("ola.s",))]}
        found = match(FlowPlace(1), listed, user_name="kari.n")
        assert (found.participant_id, found.submission_id) == (5, 500)

    def test_a_participant_without_a_candidate_number_is_found_by_fs_number_and_user_name(self) -> None:
        listed = {1: [participant(5, None, names=("kari.n",), number="481223"), participant(6, None, number="1")]}
        assert match(FlowPlace(1), listed, user_name="kari.n").participant_id == 5

    def test_a_number_within_a_number_is_no_match(self) -> None:
        with pytest.raises(PermanentError) as caught:
            match(FlowPlace(1), {1: [participant(5, "10421"), participant(6, "11042")]})
        assert caught.value.code == "wiseflow.participant_missing"

    @pytest.mark.parametrize("spelling", ["1042", " 1042 ", "01042", "\uff11\uff10\uff14\uff12"])
    def test_all_spellings_of_a_number_match(self, spelling: str) -> None:
        assert match(FlowPlace(1), {1: [participant(5, spelling)]}).participant_id == 5

    def test_the_candidate_may_be_on_a_sub_flow(self) -> None:
        found = match(self.place, {1: [], 2: [participant(5, "1")], 3: [participant(6, "1042")]})
        assert (found.flow_id, found.participant_id) == (3, 6)

    def test_the_main_flow_is_preferred_to_a_sub_flow_with_the_same_person(self) -> None:
        listed = {1: [participant(5, "1042", person=70)], 2: [participant(6, "1042", person=70)]}
        assert match(self.place, listed).flow_id == 1

    @pytest.mark.parametrize(
        "listed",
        [
            {1: [participant(5, "1042"), participant(6, "1042")]},
            {1: [participant(5, "1042", person=70)], 2: [participant(6, "1042", person=71)]},
            {2: [participant(5, "1042", person=70)], 3: [participant(6, "1042", person=70)]},
        ],
        ids=["same flow", "another person on a sub-flow", "two sub-flows"],
    )
    def test_two_equal_candidates_are_an_error_that_names_them(self, listed: dict[int, list[Participant]]) -> None:
        with pytest.raises(PermanentError) as caught:
            match(self.place, listed)
        assert caught.value.code == "wiseflow.participant_ambiguous"
        assert "5 on flow" in caught.value.cause
        assert "1042" not in str(caught.value)

    @pytest.mark.parametrize("listed_as", ["kari.n", "KARI.N", "kari.n@uis.no"])
    @pytest.mark.parametrize("asked_as", ["kari.n", "kari.n@uis.no", "Kari.N"])
    def test_the_user_name_is_found_with_and_without_realm(self, listed_as: str, asked_as: str) -> None:
        listed = {1: [participant(5, None, names=(listed_as,)), participant(6, None, names=("ola.s",))]}
        assert match(FlowPlace(1), listed, user_name=asked_as).participant_id == 5

    def test_a_name_without_realm_is_the_institutions_own(self) -> None:
        listed = {1: [participant(5, None, names=("kari.n@annen.no",))]}
        with pytest.raises(PermanentError) as caught:
            match(FlowPlace(1), listed, user_name="kari.n")
        assert caught.value.code == "wiseflow.participant_missing"
        assert match(FlowPlace(1), listed, user_name="kari.n@annen.no").participant_id == 5

    def test_no_match_is_an_error_without_personal_data(self) -> None:
        with pytest.raises(PermanentError) as caught:
            match(self.place, {1: [participant(5, "7", names=("ola",))]}, user_name="kari.n")
        assert caught.value.code == "wiseflow.participant_missing"
        assert "1042" not in str(caught.value)
        assert "kari" not in str(caught.value)

    @given(st.lists(st.integers(1, 9), max_size=12), st.integers(1, 9))
    def test_a_match_always_has_the_number_and_is_the_only_one(self, numbers: list[int], kandidatnr: int) -> None:
        listed = {1: [participant(100 + place, str(number)) for place, number in enumerate(numbers)]}
        if numbers.count(kandidatnr) == 1:
            found = match(FlowPlace(1), listed, kandidatnr)
            assert numbers[found.participant_id - 100] == kandidatnr
            return
        with pytest.raises(PermanentError) as caught:
            match(FlowPlace(1), listed, kandidatnr)
        kind = "missing" if kandidatnr not in numbers else "ambiguous"
        assert caught.value.code == f"wiseflow.participant_{kind}"


class TestChooseComment:
    def test_an_unreadable_comment_on_the_submission_may_be_the_newest(self) -> None:
        bad = UnreadableComment.of({"containerId": 500, "content": 7})
        with pytest.raises(TransientError) as caught:
            choose_comment(explanation(), [comment(), bad], 500)
        assert caught.value.code == "wiseflow.comment_unreadable"
        elsewhere = UnreadableComment.of({"containerId": 501})
        assert choose_comment(explanation(), [comment(), elsewhere], 500) is not None

    @pytest.mark.parametrize(
        "changes",
        [
            {"containerId": 501},
            {"containerId": None},
            {"shareType": "ASSESSORS"},
            {"shareType": "NONE"},
            {"createdAt": iso(ASKED - 1)},
            {"assessorId": 82},
            {"assessorId": None, "assessorUserId": 812},
            {"content": " \n"},
            {"content": None},
        ],
    )
    def test_comments_that_are_not_the_answer(self, changes: dict[str, Any]) -> None:
        assert choose_comment(explanation(), [comment(**changes)], 500) is None

    @pytest.mark.parametrize("changes", [{}, {"shareType": "ALL"}, {"createdAt": iso(ASKED)}, {"assessorId": None}])
    def test_comments_that_can_be_the_answer(self, changes: dict[str, Any]) -> None:
        chosen = choose_comment(explanation(), [comment(**changes)], 500)
        assert chosen is not None

    def test_without_a_submission_no_comment_is_the_answer(self) -> None:
        assert choose_comment(explanation(), [comment(containerId=None)], None) is None

    def test_without_an_assigned_assessor_no_comment_is_the_answer(self) -> None:
        assert choose_comment(explanation(assignedAssessor=None), [comment()], 500) is None

    def test_the_newest_counts_and_an_edit_is_newer(self) -> None:
        first = comment(1, updatedAt=iso(ANSWERED + 20))
        second = comment(2, createdAt=iso(ANSWERED + 10), updatedAt=iso(ANSWERED + 10))
        chosen = choose_comment(explanation(), [first, second], 500)
        assert chosen is not None
        assert chosen.comment_id == 1

    @given(st.permutations([comment(1), comment(2), comment(3, containerId=501), comment(4, shareType="NONE")]))
    def test_of_the_same_second_the_last_written_counts_in_any_order(self, comments: list[SubmissionComment]) -> None:
        chosen = choose_comment(explanation(), comments, 500)
        assert chosen is not None
        assert chosen.comment_id == 2


SEEN = datetime.fromtimestamp(ANSWERED + 7200, UTC)
NOW = SEEN + timedelta(days=1)


class TestFindAnswer:
    def test_the_text_on_the_request_is_preferred_to_a_comment(self) -> None:
        answered = explanation(justification={"text": "on the request"}, acceptDate=ANSWERED)
        found = find_answer(answered, [comment()], 500, SEEN, NOW)
        assert found is not None
        assert (found.text, found.source) == ("on the request", "justification")
        assert found.given_at == datetime.fromtimestamp(ANSWERED, UTC)

    def test_a_blank_text_on_the_request_is_no_text(self) -> None:
        found = find_answer(explanation(justification={"text": " "}), [comment()], 500, SEEN, NOW)
        assert found is not None
        assert found.source == "submission-comment"

    @pytest.mark.parametrize(
        ("request_changes", "expected"),
        [
            ({"acceptDate": ANSWERED + 5}, ANSWERED + 5),
            ({"acceptDate": 0}, ANSWERED + 3),
            ({}, ANSWERED + 3),
            ({"acceptDate": ANSWERED}, ANSWERED + 3),  # before the text was written
            ({"acceptDate": ANSWERED + 5, "state": 2}, ANSWERED + 3),  # of an earlier text: this one is not accepted
        ],
    )
    def test_a_comment_is_dated_by_wiseflow_and_never_before_it_was_written(
        self, request_changes: dict[str, Any], expected: int
    ) -> None:
        written = comment(updatedAt=iso(ANSWERED + 3))
        found = find_answer(explanation(**request_changes), [written], 500, SEEN, NOW)
        assert found is not None
        assert found.given_at == datetime.fromtimestamp(expected, UTC)

    @pytest.mark.parametrize("request_changes", [{"state": 2}, {"state": 2, "acceptDate": ANSWERED}, {"state": 3}])
    def test_a_text_on_the_request_without_a_date_of_its_own_is_dated_when_it_was_seen(
        self, request_changes: dict[str, Any]
    ) -> None:
        found = find_answer(explanation(justification={"text": "x"}, **request_changes), (), None, SEEN, NOW)
        assert found is not None
        assert found.given_at == SEEN

    def test_no_text_anywhere_is_no_answer(self) -> None:
        assert find_answer(explanation(), [comment(containerId=501)], 500, SEEN, NOW) is None
