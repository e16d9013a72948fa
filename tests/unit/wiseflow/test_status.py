"""How far a request of WISEflow has come for the engine, and what people are told of what no poll can follow."""

from datetime import UTC, datetime

import pytest

from casebridge.errors import PermanentError
from casebridge.exams.models import CandidatePlace, ExamPlace, ExplanationState
from resources.wiseflow.places import FlowPlace, ParticipantPlace, number
from resources.wiseflow.poll_problems import not_followed
from resources.wiseflow.records import Explanation, UnreadableComment, UnreadableExplanation
from resources.wiseflow.status import WiseflowStatus, state_of, status_of, unreadable_status

REQUESTED_ON = datetime(2026, 3, 1, tzinfo=UTC)


def explanation(state: int, text: str | None = None) -> Explanation:
    return Explanation.model_validate(
        {
            "explanationId": 90003,
            "state": state,
            "requestDate": REQUESTED_ON.timestamp(),
            **({"justification": {"text": text}} if text else {}),
        }
    )


@pytest.mark.parametrize(
    ("raw_state", "answer_state", "state"),
    [
        (0, 3, ExplanationState.AWAITED), (1, 3, ExplanationState.AWAITED), (2, 3, ExplanationState.AWAITED),
        (3, 3, ExplanationState.READY), (1, 2, ExplanationState.AWAITED), (2, 2, ExplanationState.READY),
        (3, 2, ExplanationState.READY), (4, 2, ExplanationState.UNKNOWN), (-1, 2, ExplanationState.UNKNOWN),
    ],
)  # fmt: skip
def test_what_is_ready_is_the_institutions_choice(raw_state: int, answer_state: int, state: ExplanationState) -> None:
    assert state_of(raw_state, answer_state) is state


@pytest.mark.parametrize(
    ("one", "needs_own_look"),
    [
        (explanation(1), False), (explanation(2), True), (explanation(3), True), (explanation(3, "Because."), False),
        (explanation(9), False),
    ],
)  # fmt: skip
def test_an_answer_that_the_list_does_not_show_needs_a_look_of_its_own(one: Explanation, needs_own_look: bool) -> None:
    status = status_of(770008, one, (), None, 3)
    assert (status.flow_id, status.explanation_request_id) == ("770008", "90003")
    assert status.needs_own_look is needs_own_look


def test_nothing_is_told_where_all_can_be_followed() -> None:
    assert not_followed((), (), ()) is None


def test_an_unknown_state_is_told_before_what_cannot_be_read() -> None:
    unknown = status_of(7, explanation(9), (), None, 3)
    nameless = unreadable_status(7, UnreadableComment.of({}))
    told = not_followed([unknown], [nameless], [])
    assert told is not None
    assert told.code == "wiseflow.state_unknown"
    assert "explanation request 90003 (state 9)" in told.cause


def test_what_cannot_be_read_is_told_by_flow_and_request_in_the_order_of_their_numbers() -> None:
    def hidden(flow_id: int, request_id: int) -> WiseflowStatus:
        return unreadable_status(flow_id, UnreadableExplanation.of({"explanationId": request_id}))

    told = not_followed([], [], [hidden(10, 2), hidden(9, 30), hidden(9, 4)])
    assert told is not None
    assert told.code == "wiseflow.request_unreadable"
    assert "4 on flow 9, 30 on flow 9, 2 on flow 10" in told.cause


def test_places_have_numbers_here_and_texts_in_the_engine() -> None:
    flow, participant = FlowPlace(7, (8, 9)), ParticipantPlace(7, 5, None)
    assert flow.told() == ExamPlace("7", ("8", "9"))
    assert participant.told() == CandidatePlace("7", "5", None)
    assert FlowPlace.of(flow.told()) == flow
    assert ParticipantPlace.of(participant.told()) == participant
    assert ParticipantPlace.of(CandidatePlace("7", "5", "12")).submission_id == 12


@pytest.mark.parametrize("name", ["exam-7", "", "007", "1.0"])
def test_an_id_that_is_no_number_is_an_error_that_names_no_value(name: str) -> None:
    with pytest.raises(PermanentError) as caught:
        number(name)
    assert caught.value.code == "wiseflow.id_unreadable"
    assert not name or name not in caught.value.cause
