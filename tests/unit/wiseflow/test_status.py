"""How far a request of WISEflow is for the engine, and which requests are reported because no poll can follow them."""

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
def test_the_institution_chooses_when_an_answer_is_ready(
    raw_state: int, answer_state: int, state: ExplanationState
) -> None:
    assert state_of(raw_state, answer_state) is state


@pytest.mark.parametrize(
    ("one", "needs_own_read"),
    [
        (explanation(1), False), (explanation(2), True), (explanation(3), True), (explanation(3, "Because."), False),
        (explanation(9), False),
    ],
)  # fmt: skip
def test_an_answer_that_the_list_does_not_show_needs_a_read_of_its_own(one: Explanation, needs_own_read: bool) -> None:
    status = status_of(770008, one, (), None, 3)
    assert (status.flow_id, status.explanation_request_id) == ("770008", "90003")
    assert status.needs_own_read is needs_own_read


def test_nothing_is_reported_if_all_requests_can_be_followed() -> None:
    assert not_followed((), (), ()) is None


def test_an_unknown_state_is_reported_before_unreadable_requests() -> None:
    unknown = status_of(7, explanation(9), (), None, 3)
    nameless = unreadable_status(7, UnreadableComment.of({}))
    error = not_followed([unknown], [nameless], [])
    assert error is not None
    assert error.code == "wiseflow.state_unknown"
    assert "explanation request 90003 (state 9)" in error.cause


def test_unreadable_requests_are_reported_by_flow_and_request_in_numeric_order() -> None:
    def hidden(flow_id: int, request_id: int) -> WiseflowStatus:
        return unreadable_status(flow_id, UnreadableExplanation.of({"explanationId": request_id}))

    error = not_followed([], [], [hidden(10, 2), hidden(9, 30), hidden(9, 4)])
    assert error is not None
    assert error.code == "wiseflow.request_unreadable"
    assert "4 on flow 9, 30 on flow 9, 2 on flow 10" in error.cause


def test_ids_are_numbers_here_and_texts_in_the_engine() -> None:
    flow, participant = FlowPlace(7, (8, 9)), ParticipantPlace(7, 5, None)
    assert flow.opaque() == ExamPlace("7", ("8", "9"))
    assert participant.opaque() == CandidatePlace("7", "5", None)
    assert FlowPlace.of(flow.opaque()) == flow
    assert ParticipantPlace.of(participant.opaque()) == participant
    assert ParticipantPlace.of(CandidatePlace("7", "5", "12")).submission_id == 12


@pytest.mark.parametrize("name", ["exam-7", "", "007", "1.0"])
def test_an_id_that_is_no_number_is_an_error_that_names_no_value(name: str) -> None:
    with pytest.raises(PermanentError) as caught:
        number(name)
    assert caught.value.code == "wiseflow.id_unreadable"
    assert not name or name not in caught.value.cause
