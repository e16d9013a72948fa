"""Dates and ids that WISEflow writes for missing values. Such a date dates no text, and such ids do not match each other."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casebridge.errors import PermanentError
from casebridge.exams.identity import Person
from casebridge.personal_data import DomainModel
from resources.wiseflow import client as wiseflow
from resources.wiseflow import records
from resources.wiseflow.client import CreatedExplanation
from resources.wiseflow.flow_matching import choose_comment, find_answer, match_candidate
from resources.wiseflow.places import FlowPlace
from resources.wiseflow.records import (
    AssignedAssessor,
    Explanation,
    ExplanationParticipant,
    ExternalId,
    Flow,
    Justification,
    Participant,
    ParticipantUser,
    SourceHit,
    SubmissionComment,
)
from tests.support.wiseflow_rows import ANSWERED, ASKED, comment, explanation, iso

SEEN = datetime.fromtimestamp(ANSWERED + 7200, UTC)
NOW = SEEN + timedelta(days=1)


class TestImpossibleDates:
    """FS starts the time for an appeal on the day that we send. It is never before the text or the request, or in the future."""

    FUTURE = datetime(2099, 1, 1, tzinfo=UTC)

    @pytest.mark.parametrize("not_set", [0, "", None, "1970-01-01T00:00:00Z", "0001-01-01T00:00:00", 1, -1])
    @pytest.mark.parametrize("request_changes", [{"state": 2}, {"acceptDate": 0}, {"acceptDate": 1}, {}])
    def test_an_unset_date_dates_no_text(self, not_set: Any, request_changes: dict[str, Any]) -> None:
        written = comment(createdAt=iso(ANSWERED), updatedAt=not_set)
        assert written.changed_at == datetime.fromtimestamp(ANSWERED, UTC)
        found = find_answer(explanation(**request_changes), [written], 500, SEEN, NOW)
        assert found is not None
        assert found.given_at == datetime.fromtimestamp(ANSWERED, UTC)

    @pytest.mark.parametrize("accepted", [0, 1, ASKED - 1, 4_070_908_800])
    def test_an_acceptance_that_cannot_be_dates_no_text(self, accepted: int) -> None:
        answered = explanation(justification={"text": "x"}, acceptDate=accepted)
        found = find_answer(answered, (), None, SEEN, NOW)
        assert found is not None
        assert found.given_at == SEEN

    def test_a_comment_of_the_future_is_dated_when_it_was_seen(self) -> None:
        written = comment(createdAt=self.FUTURE.isoformat(), updatedAt=self.FUTURE.isoformat())
        found = find_answer(explanation(), [written], 500, SEEN, NOW)
        assert found is not None
        assert found.given_at == SEEN

    def test_a_text_that_was_written_after_the_answer_was_seen_has_its_own_date(self) -> None:
        written = comment(createdAt=iso(ANSWERED), updatedAt=iso(ANSWERED + 9000))
        found = find_answer(explanation(), [written], 500, SEEN, NOW)
        assert found is not None
        assert found.given_at == datetime.fromtimestamp(ANSWERED + 9000, UTC)

    def test_a_request_without_a_date_cannot_be_read(self) -> None:
        """Otherwise any comment would count as written after the request."""
        for moment in (0, 1, "1970-01-01T00:00:00Z"):
            with pytest.raises(ValueError, match="requestDate"):
                explanation(requestDate=moment)
            with pytest.raises(ValueError, match="createdAt"):
                comment(createdAt=moment)

    DATES = st.sampled_from(
        [0, 1, ASKED - 86_400, ASKED, ASKED + 1, ANSWERED, ANSWERED + 7200, ANSWERED + 9000, 4_070_908_800]
    )

    @given(DATES, DATES, DATES, st.sampled_from([2, 3]), st.booleans())
    def test_no_date_of_wiseflows_takes_the_answers_date_out_of_its_time(
        self, created: int, updated: int, accepted: int, state: int, on_request: bool
    ) -> None:
        changes: dict[str, Any] = {"justification": {"text": "x"}} if on_request else {}
        asked = explanation(acceptDate=accepted, state=state, **changes)
        written = [comment(createdAt=iso(created), updatedAt=iso(updated))] if created > 1 else []
        found = find_answer(asked, written, 500, SEEN, NOW)
        if found is None:
            assert not written or created < ASKED
            return
        assert asked.request_date <= found.given_at <= NOW
        if found.source == "submission-comment" and created < NOW.timestamp():
            assert found.given_at.timestamp() >= created


class TestNothingInCommon:
    """An id that is 0 or empty belongs to nobody."""

    @pytest.mark.parametrize("unset", [0, "", None, "0"])
    def test_unset_ids_are_none(self, unset: Any) -> None:
        read = Participant.model_validate(
            {"participantId": 1, "userId": unset, "submissionId": unset, "groupId": unset, "user": {"id": unset}}
        )
        assert (read.person, read.submission_id, read.group_id) == (None, None, None)
        assert comment(containerId=unset).container_id is None

    def test_a_group_is_known_in_either_form(self) -> None:
        read = [Participant.model_validate({"participantId": 1, "groupId": group}) for group in (7, "7", " 7 ", 7.0)]
        assert {one.group_id for one in read} == {"7"}

    def test_assessors_without_an_id_are_not_the_same(self) -> None:
        asked = explanation(assignedAssessor={"assessorId": 0, "user": {"id": 0}})
        assert choose_comment(asked, [comment(assessorId=0, assessorUserId=0)], 500) is None

    def test_persons_without_an_id_are_not_the_same(self) -> None:
        listed = {
            1: [Participant.model_validate({"participantId": 5, "uniqueExamId": "1042", "userId": 0})],
            2: [Participant.model_validate({"participantId": 6, "uniqueExamId": "1042", "userId": 0})],
        }
        with pytest.raises(PermanentError) as caught:
            match_candidate(FlowPlace(1, (2,)), listed, Person(1042, 1, None, "uis.no"))
        assert caught.value.code == "wiseflow.participant_ambiguous"


RECORDS: tuple[tuple[type[DomainModel], dict[str, Any]], ...] = (
    (Flow, {"id": 1, "state": 3, "variant": 0}),
    (SourceHit, {"code": "x", "flow": {"flowid": 1}}),
    (ExternalId, {}),
    (AssignedAssessor, {}),
    (Justification, {}),
    (ExplanationParticipant, {"participantId": 1}),
    (ParticipantUser, {}),
    (Participant, {"participantId": 1}),
    (Explanation, {"explanationId": 1, "state": 2, "requestDate": ASKED}),
    (SubmissionComment, {"id": 1, "createdAt": ASKED}),
    (CreatedExplanation, {"explanationId": 1}),
)


@pytest.mark.parametrize(("record", "least"), RECORDS, ids=lambda each: getattr(each, "__name__", ""))
def test_null_in_an_optional_field_means_no_value(record: type[DomainModel], least: dict[str, Any]) -> None:
    bare = record.model_validate(least)
    optional = {field.alias or name: None for name, field in record.model_fields.items() if not field.is_required()}
    assert record.model_validate({**least, **optional}) == bare


def test_every_record_of_wiseflow_is_tested() -> None:
    there = {
        one
        for module in (records, wiseflow)
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, DomainModel) and one.__module__ == module.__name__
    }
    assert {record for record, _ in RECORDS} == there
