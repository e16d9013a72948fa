"""A flow: an ordered list of named steps that a message of one queue goes through.

The steps themselves belong to the domain (`exams`). Here is only what every flow has in common, and how a flow is resumed at
the first step without a result.
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
    """What a queue's messages go through. A flow states its queue, its payload and its steps, and what else it has."""

    payload: type[Payload] = NoPayload
    """What its messages say. A message whose payload cannot be read fails at the step where it stands."""

    dropped_results: tuple[str, ...] = ()
    """Paths of step results that are dropped when the flow is done, such as `fetch_answer.result.text`."""

    @property
    @abstractmethod
    def queue(self) -> str:
        """The name of its queue."""

    @property
    @abstractmethod
    def steps(self) -> Steps:
        """In the order in which they are run."""

    def prefetch(self, messages: Sequence[Message]) -> None:  # noqa: B027 most flows have nothing to read
        """Read from the database what the steps of these messages begin with, for all at once, into `Message.prefetched`.

        Only to spare each of them a read of its own: a step that finds nothing prefetched reads for itself.
        """

    def audit_fields(self, message: Message) -> dict[str, Any]:  # noqa: ARG002 for flows that have some
        """The fields of contract 2.2 that this flow's messages can tell."""
        return {}

    def apply_to_cases(self, messages: Sequence[Message]) -> None:  # noqa: B027 for flows whose messages have cases
        """Write down what the steps that these messages have done mean for their cases, for all at once. Idempotent.

        Called before anybody can take their outcome for settled, whatever it is.
        """

    def set_aside(self, message: Message, error: CaseError) -> None:  # noqa: B027 likewise
        """The message is about to be dead: mark its case. Idempotent."""

    def on_lease_lost(self, message: Message) -> None:  # noqa: B027 most steps need no mending
        """The lease was lost while a step changed something outside: see to it that what came after it prevails."""


class StepFailedError(Exception):
    """A step raised; carries its name. `__cause__` is what it raised."""

    def __init__(self, step: str) -> None:
        super().__init__(step)
        self.step = step


def run_steps(flow: Flow, message: Message, clock: Clock, record: Callable[[Mapping[str, StepRecord]], None]) -> None:
    """Run what is not done yet; `message.steps` has all results at the end, and those up to the failure when a step fails.

    What changed something outside is handed to `record` before the next step begins; the results after that are written down
    with the outcome, by the caller. Raises `StepFailedError`, and `LeaseLostError` before a step whose lease has run out.
    """
    if any(step.last for step in message.steps.values()):
        return
    steps = flow.steps
    _forget_old_looks(steps, message)
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


def _forget_old_looks(steps: Steps, message: Message) -> None:
    """What an earlier attempt only looked up is looked up anew: a person may have mended it since. Not what was acted on."""
    looked: list[str] = []
    for step in steps:
        done = message.steps.get(step.name)
        if done is None or done.fence == message.fence:
            break
        looked = [*looked, step.name] if step.read_only else []
    for name in looked:
        del message.steps[name]


def _run(flow: Flow, step: Step[Any], message: Message, clock: Clock) -> StepRecord:
    crash_point("step_begun")
    began, seen = time.monotonic(), observer().step(step.name)
    try:
        flow.payload.of(message)
        outcome = step.run(message)
        is_last = isinstance(outcome, Last)
        result: dict[str, Any] = (outcome.result if isinstance(outcome, Last) else outcome).document()
        check_storable(f"What the step {step.name} came to", result)
    except BaseException as error:
        # Also SystemExit, or a library's panic: here it ends one step of one message, never a worker's thread.
        seen.ended(error.code if isinstance(error, CaseError) else type(error).__name__)
        raise StepFailedError(step.name) from error
    seen.ended()
    crash_point("effect_made")
    milliseconds = int((time.monotonic() - began) * 1000)
    return StepRecord(clock.now(), message.fence, milliseconds, result, last=is_last)
