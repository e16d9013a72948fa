"""A flow states only what it needs. Payload and results of a message are typed, and their stored form does not change."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

import pytest

from casebridge.errors import PermanentError
from casebridge.exams.explanations.answer_steps import AnswerPayload, FetchedAnswer, Registered, Shown
from casebridge.exams.explanations.request_steps import FoundCandidate, FoundExam, Requested, RequestPayload
from casebridge.messaging.flow.flow import Flow, StepFailedError, run_steps
from casebridge.messaging.flow.payload import Payload
from casebridge.messaging.flow.step import Ended, Last, Step, StepResult, Steps
from casebridge.messaging.queue.message import Message, NewMessage, StepRecord
from tests.support.manual_clock import ManualClock

NOW = datetime(2026, 5, 4, 10, tzinfo=UTC)


class Greeting(Payload):
    read_times: ClassVar[int] = 0

    to_whom: str

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        Greeting.read_times += 1
        return super().read(stored)


class Greeting1(StepResult):
    step = "first"
    said_to: str


class Greeting2(StepResult):
    step = "second"
    said_to: str
    again: bool | None = None


class GreetingFlow(Flow):
    queue = "greetings"
    payload = Greeting

    @property
    def steps(self) -> Steps:
        return (
            Step(Greeting1, lambda message: Greeting1(said_to=Greeting.of(message).to_whom), read_only=True),
            Step(Greeting2, lambda message: Greeting2(said_to=Greeting1.of(message).said_to)),
        )


class EndingFlow(GreetingFlow):
    @property
    def steps(self) -> Steps:
        return (Step(Greeting1, lambda message: Last(Ended(outcome="nobody there"))), *super().steps[1:])


def claimed(payload: dict[str, Any]) -> Message:
    new = NewMessage("a key", "greetings", "uis.no", "prod", "a case", "an id", payload)
    return Message.from_document(new.document(NOW))


def run(flow: Flow, message: Message) -> list[Mapping[str, StepRecord]]:
    recorded: list[Mapping[str, StepRecord]] = []
    run_steps(flow, message, ManualClock(), recorded.append)
    return recorded


@pytest.fixture(autouse=True)
def unread() -> None:
    Greeting.read_times = 0


def test_a_payload_is_validated_once_for_all_steps_and_later_uses() -> None:
    message = claimed({"toWhom": "you"})

    run(GreetingFlow(), message)

    assert Greeting.of(message).to_whom == "you"
    assert Greeting.read_times == 1


def test_a_payload_that_cannot_be_read_is_the_error_of_the_step_and_validated_once() -> None:
    message = claimed({"toWhom": ["you"]})

    with pytest.raises(StepFailedError) as failed:
        run(GreetingFlow(), message)
    with pytest.raises(PermanentError) as caught:
        Greeting.of(message)

    assert failed.value.step == "first"
    assert failed.value.__cause__ is caught.value
    assert caught.value.code == "casebridge.message_unreadable"
    assert "payload.toWhom" in caught.value.cause
    assert Greeting.read_times == 1


def test_another_claim_of_the_message_reads_the_payload_again() -> None:
    message = claimed({"toWhom": "you"})
    run(GreetingFlow(), message)
    run(GreetingFlow(), Message.from_document(message.stored))
    assert Greeting.read_times == 2


def test_a_flow_has_nothing_that_it_does_not_state() -> None:
    flow, message = GreetingFlow(), claimed({"toWhom": "you"})
    flow.prefetch([message])
    flow.apply_to_cases([message])
    flow.set_aside(message, PermanentError("a.code", "A cause.", "An action."))
    flow.on_lease_lost(message)
    assert message.prefetched == {}
    assert (flow.audit_fields(message), flow.dropped_results) == ({}, ())


def test_a_flow_must_state_its_queue_and_its_steps() -> None:
    class Stepless(Flow):
        queue = "nothing"

    with pytest.raises(TypeError, match="steps"):
        Stepless()  # type: ignore[abstract]  # that is what is tested


def test_fields_that_a_step_does_not_set_are_not_stored() -> None:
    message = claimed({"toWhom": "you"})
    run(GreetingFlow(), message)
    assert {name: step.result for name, step in message.steps.items()} == {
        "first": {"saidTo": "you"},
        "second": {"saidTo": "you"},
    }


def test_a_last_result_ends_the_flow() -> None:
    message = claimed({"toWhom": "you"})
    run(EndingFlow(), message)
    assert [(name, step.result, step.last) for name, step in message.steps.items()] == [
        ("first", {"outcome": "nobody there"}, True)
    ]


def test_a_stored_result_that_cannot_be_read_names_its_field() -> None:
    message = claimed({"toWhom": "you"})
    message.steps["first"] = StepRecord(NOW, 0, 1, {"saidTo": 7})
    with pytest.raises(PermanentError) as caught:
        Greeting1.of(message)
    assert "steps.first.result.saidTo" in caught.value.cause


STORED: list[tuple[type[StepResult], dict[str, Any]]] = [
    (FoundExam, {"flowId": 770008, "subFlowIds": []}),
    (FoundExam, {"flowId": 770008, "subFlowIds": [770009, 770010]}),
    (FoundCandidate, {"flowId": 770008, "participantId": 3300208, "submissionId": None}),
    (FoundCandidate, {"flowId": 770008, "participantId": 3300208, "submissionId": 5000208}),
    (Requested, {"explanationRequestId": 90003, "created": True, "shown": False}),
    (
        Requested,
        {
            "flowId": 770008, "participantId": 3300208, "submissionId": None, "explanationRequestId": 90003,
            "created": False, "shown": True, "deadline": "2026-05-20",
        },
    ),
    (FetchedAnswer, {"textHash": "c14c", "givenAt": NOW, "source": "justification", "submissionId": None, "text": "Yes."}),
    (FetchedAnswer, {"textHash": "c14c", "givenAt": NOW, "source": "submission-comment"}),
    (Registered, {"outcome": "registered", "registeredFor": {"candidate number": "aa"}}),
    (Registered, {"outcome": "registered"}),
    (Shown, {"shown": True}),
    (Shown, {"outcome": "superseded"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "stored"), STORED)
def test_a_result_is_stored_as_it_was_read(kind: type[StepResult], stored: dict[str, Any]) -> None:
    read = kind.model_validate(stored)
    document = read.document()
    assert document == stored
    assert list(document) == list(stored)
    assert {name: type(value) for name, value in document.items()} == {
        name: type(value) for name, value in stored.items()
    }


def test_an_answer_of_an_earlier_release_has_no_version_and_no_flags() -> None:
    payload = AnswerPayload.read({"caseId": "a", "flowId": 1, "explanationRequestId": 2, "marker": "m", "vurdId": "v"})
    assert (payload.version, payload.is_looked_for, payload.repairs, payload.reopened) == (None, False, False, False)


@pytest.mark.parametrize(
    ("stored", "code"),
    [
        ({"caseId": None, "unreadable": "{}", "fields": "kandidatnr"}, "fs.row_unreadable"),
        ({"caseId": "a", "request": {"examId": "x"}}, "fs.row_unreadable"),
        ({"caseId": None, "request": {}}, "casebridge.message_unreadable"),
        ({"caseId": "a", "request": "x"}, "casebridge.message_unreadable"),
        ({}, "casebridge.message_unreadable"),
    ],
)
def test_an_invalid_request_keeps_its_error_code(stored: dict[str, Any], code: str) -> None:
    with pytest.raises(PermanentError) as caught:
        RequestPayload.read(stored)
    assert caught.value.code == code
