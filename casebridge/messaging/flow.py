"""A flow: an ordered list of named steps that a message of one queue goes through.

The steps themselves belong to the domain (`exams`). Here is only what every flow has in common, and how a flow is resumed at
the first step without a result.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from casebridge.clock import Clock
from casebridge.crash_points import crash_point
from casebridge.errors import CaseError
from casebridge.messaging.message import Message, StepRecord

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


class Flow(Protocol):
    """What a queue's messages go through."""

    @property
    def queue(self) -> str: ...

    @property
    def steps(self) -> tuple[Step, ...]: ...

    @property
    def forget(self) -> tuple[str, ...]:
        """Paths of step results that are dropped when the flow is done, such as `fetch_answer.result.text`."""
        ...

    def audit_fields(self, message: Message) -> dict[str, Any]:
        """The fields of contract 2.2 that this flow's messages can tell."""
        ...

    def set_aside(self, message: Message, error: CaseError) -> None:
        """The message is about to be dead: mark its case. Idempotent."""
        ...


class StepFailedError(Exception):
    """A step raised; carries its name. `__cause__` is what it raised."""

    def __init__(self, step: str) -> None:
        super().__init__(step)
        self.step = step


def run_steps(
    flow: Flow, message: Message, clock: Clock, record: Callable[[str, StepRecord], None]
) -> dict[str, StepRecord]:
    """Run what is not done yet; return the last step's record, which the caller writes down together with the outcome.

    Every other result is handed to `record` before the next step begins. Raises `StepFailedError`; `LeaseLostError` passes.
    """
    results = {name: step.result for name, step in message.steps.items()}
    if any(step.last for step in message.steps.values()):
        return {}
    remaining = [step for step in flow.steps if step.name not in results]
    for position, step in enumerate(remaining):
        crash_point("step_begun")
        began = time.monotonic()
        try:
            outcome = step.run(message, results)
        except Exception as error:
            raise StepFailedError(step.name) from error
        crash_point("effect_made")
        done = StepRecord(
            clock.now(), message.fence, int((time.monotonic() - began) * 1000), outcome.values, last=outcome.last
        )
        if outcome.last or position == len(remaining) - 1:
            return {step.name: done}
        record(step.name, done)
        crash_point("step_recorded")
        results[step.name] = outcome.values
    return {}
