"""A flow: an ordered list of named steps that a message of one queue goes through.

The steps themselves belong to the domain (`exams`). Here is only what every flow has in common, and how a flow is resumed at
the first step without a result.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from casebridge.clock import Clock
from casebridge.crash_points import crash_point
from casebridge.database_faults import check_storable
from casebridge.errors import CaseError, LeaseLostError
from casebridge.messaging.queue.message import Message, StepRecord
from casebridge.telemetry import observer

Result = dict[str, Any]


@dataclass(frozen=True)
class StepResult:
    """What a step found or did: ids and counts, plus what later steps need. `last` says that nothing more is to be done."""

    values: Result = field(default_factory=dict)
    last: bool = False


@dataclass(frozen=True)
class Step:
    """One idempotent piece of work. It is given the message and the results of the steps before it."""

    name: str
    run: Callable[[Message, Mapping[str, Result]], StepResult]
    read_only: bool = False
    """It changes nothing outside: its result is written down with that of the next step that does, and looked up again
    after a crash in between."""


class Flow(Protocol):
    """What a queue's messages go through."""

    @property
    def queue(self) -> str: ...

    @property
    def steps(self) -> tuple[Step, ...]: ...

    @property
    def dropped_results(self) -> tuple[str, ...]:
        """Paths of step results that are dropped when the flow is done, such as `fetch_answer.result.text`."""
        ...

    def prefetch(self, messages: Sequence[Message]) -> None:
        """Read from the database what the steps of these messages begin with, for all at once, into `Message.prefetched`.

        Only to spare each of them a read of its own: a step that finds nothing at hand reads for itself.
        """
        ...

    def audit_fields(self, message: Message) -> dict[str, Any]:
        """The fields of contract 2.2 that this flow's messages can tell."""
        ...

    def apply_to_cases(self, messages: Sequence[Message]) -> None:
        """Write down what the steps that these messages have done mean for their cases, for all at once. Idempotent.

        Called before anybody can take their outcome for settled, whatever it is.
        """
        ...

    def set_aside(self, message: Message, error: CaseError) -> None:
        """The message is about to be dead: mark its case. Idempotent."""
        ...

    def on_lease_lost(self, message: Message) -> None:
        """The lease was lost while a step changed something outside: see to it that what came after it prevails."""
        ...


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
    _forget_old_looks(flow, message)
    results = {name: step.result for name, step in message.steps.items()}
    remaining = [step for step in flow.steps if step.name not in results]
    unrecorded: dict[str, StepRecord] = {}
    for step in remaining:
        if not message.is_held:
            raise LeaseLostError(message.correlation_id)
        done = _run(step, message, results, clock)
        unrecorded[step.name] = message.steps[step.name] = done
        results[step.name] = done.result
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


def _forget_old_looks(flow: Flow, message: Message) -> None:
    """What an earlier attempt only looked up is looked up anew: a person may have mended it since. Not what was acted on."""
    looked: list[str] = []
    for step in flow.steps:
        done = message.steps.get(step.name)
        if done is None or done.fence == message.fence:
            break
        looked = [*looked, step.name] if step.read_only else []
    for name in looked:
        del message.steps[name]


def _run(step: Step, message: Message, results: Mapping[str, Result], clock: Clock) -> StepRecord:
    crash_point("step_begun")
    began, seen = time.monotonic(), observer().step(step.name)
    try:
        outcome = step.run(message, results)
        check_storable(f"What the step {step.name} came to", outcome.values)
    except BaseException as error:
        # Also SystemExit, or a library's panic: here it ends one step of one message, never a worker's thread.
        seen.ended(error.code if isinstance(error, CaseError) else type(error).__name__)
        raise StepFailedError(step.name) from error
    seen.ended()
    crash_point("effect_made")
    milliseconds = int((time.monotonic() - began) * 1000)
    return StepRecord(clock.now(), message.fence, milliseconds, outcome.values, last=outcome.last)
