"""A flow: an ordered list of named steps that a message of one queue goes through.

The steps themselves belong to the capabilities. Here is what every flow has in common, and how a flow is resumed at the first
step without a result.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from casebridge.clock import Clock
from casebridge.crash_points import crash_point
from casebridge.database_faults import check_storable
from casebridge.errors import CaseError, LeaseLostError
from casebridge.messaging.flow.payload import NoPayload, Payload
from casebridge.messaging.flow.step import Last, Step, Steps
from casebridge.messaging.queue.message import Message, StepRecord
from casebridge.telemetry import observer


class Flow(ABC):
    """The steps of one queue's messages. A flow states its queue, its payload and its steps. Everything else has a default."""

    payload: type[Payload] = NoPayload
    """The model of its payloads. A message whose payload cannot be read fails at the step that it has reached."""

    dropped_results: tuple[str, ...] = ()
    """Paths of step results that are dropped when the flow is done, such as `fetch_answer.result.text`."""

    @property
    @abstractmethod
    def queue(self) -> str:
        """The name of its queue."""

    @property
    @abstractmethod
    def steps(self) -> Steps:
        """Its steps, in the order in which they are run."""

    def prefetch(self, messages: Sequence[Message]) -> None:  # noqa: B027 most flows have nothing to read
        """Read what the steps of these messages need first, for all messages at once, into `Message.prefetched`.

        This only saves reads: a step that finds nothing prefetched reads for itself.
        """

    def audit_fields(self, message: Message) -> dict[str, Any]:  # noqa: ARG002 for flows that have some
        """The fields of contract 2.2 that this flow's messages have."""
        return {}

    def apply_to_cases(self, messages: Sequence[Message]) -> None:  # noqa: B027 for flows whose messages have cases
        """Apply the finished steps of these messages to their cases, for all messages at once. Idempotent.

        Called for every outcome, before the outcome is stored in the messages.
        """

    def set_aside(self, message: Message, error: CaseError) -> None:  # noqa: B027 for flows whose messages have cases
        """The message is about to be dead: mark its case. Idempotent."""

    def on_lease_lost(self, message: Message) -> None:  # noqa: B027 most steps need no repair
        """The lease was lost while a step changed something outside: make sure that the newest change prevails."""


class StepFailedError(Exception):
    """A step raised an error, which is the `__cause__`. `step` is the name of the step."""

    def __init__(self, step: str) -> None:
        super().__init__(step)
        self.step = step


def run_steps(flow: Flow, message: Message, clock: Clock, record: Callable[[Mapping[str, StepRecord]], None]) -> None:
    """Run the steps that are not done yet. Their results are in `message.steps`, also when a later step fails.

    - After each step that changes something outside, the results are passed to `record` before the next step begins.
    - The caller stores the results after the last of these calls, together with the outcome.

    Raises `StepFailedError` if a step fails, and `LeaseLostError` if the lease has run out before a step.
    """
    if any(step.last for step in message.steps.values()):
        return
    steps = flow.steps
    _drop_earlier_reads(steps, message)
    remaining = [step for step in steps if step.name not in message.steps]
    unrecorded: dict[str, StepRecord] = {}
    for step in remaining:
        if not message.is_held:
            raise LeaseLostError(message.correlation_id)
        done = _run(flow, step, message, clock)
        unrecorded[step.name] = message.steps[step.name] = done
        if done.last or step is remaining[-1]:
            return
        if not step.read_only:
            try:
                record(unrecorded)
            except LeaseLostError:
                flow.on_lease_lost(message)
                raise
            unrecorded = {}
            crash_point("step_recorded")


def _drop_earlier_reads(steps: Steps, message: Message) -> None:
    """Drop what read-only steps of an earlier attempt found, so that it is read again: a person may have corrected it since.

    Reads before a step that changed something outside are kept: that step relied on them.
    """
    to_repeat: list[str] = []
    for step in steps:
        done = message.steps.get(step.name)
        if done is None or done.fence == message.fence:
            break
        to_repeat = [*to_repeat, step.name] if step.read_only else []
    for name in to_repeat:
        del message.steps[name]


def _run(flow: Flow, step: Step[Any], message: Message, clock: Clock) -> StepRecord:
    crash_point("step_begun")
    began, observation = time.monotonic(), observer().step(step.name)
    try:
        flow.payload.of(message)
        outcome = step.run(message)
        is_last = isinstance(outcome, Last)
        result: dict[str, Any] = (outcome.result if isinstance(outcome, Last) else outcome).document()
        check_storable(f"What the step {step.name} came to", result)
    except BaseException as error:
        # SystemExit or a library's panic is caught, too: it ends one step of one message, never a worker's thread.
        observation.ended(error.code if isinstance(error, CaseError) else type(error).__name__)
        raise StepFailedError(step.name) from error
    observation.ended()
    crash_point("effect_made")
    milliseconds = int((time.monotonic() - began) * 1000)
    return StepRecord(clock.now(), message.fence, milliseconds, result, last=is_last)
