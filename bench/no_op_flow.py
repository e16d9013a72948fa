"""Messages that do nothing. They measure the queue alone; they have deduplication, lease, fence and audit like all messages."""

import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from casebridge.correlation_id import new_correlation_id
from casebridge.messaging.flow.flow import Flow
from casebridge.messaging.flow.step import Step, StepResult, Steps
from casebridge.messaging.queue.message import Message, NewMessage

QUEUE: Final = "bench-no-op"
STEP: Final = "no_op"
INSTITUTIONS: Final = 12
ENTRIES_A_MESSAGE: Final = 2
"""Audit entries of a message: one when it is received, and one for its step."""


class NoOp(StepResult):
    """The empty result of the step."""

    step = STEP


class NoOpFlow(Flow):
    """One step that does nothing, or waits for `step_seconds`. `first_begun` is set when the first step begins."""

    queue = QUEUE

    def __init__(self, step_seconds: float = 0.0) -> None:
        self._step_seconds = step_seconds
        self.first_begun = threading.Event()

    @property
    def steps(self) -> Steps:
        return (Step(NoOp, self._no_op),)

    def _no_op(self, _message: Message) -> NoOp:
        self.first_begun.set()
        if self._step_seconds:
            time.sleep(self._step_seconds)
        return NoOp()


def no_op_messages(count: int) -> Iterator[NewMessage]:
    """Messages of different cases, spread over twelve institutions."""
    now = datetime.now(UTC)
    for number in range(count):
        key = uuid.uuid4().hex
        yield NewMessage(
            key=key,
            queue=QUEUE,
            org_id=f"institution{number % INSTITUTIONS}.no",
            env="bench",
            exam_system="NONE",
            ordering_key=key,
            correlation_id=new_correlation_id(now),
            payload={},
        )
