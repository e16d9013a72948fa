"""A worker runs the flow of one claimed message, and hands the result to the settler.

The settler stores it together with the results of other messages (`settler`).
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from casebridge.clock import Clock
from casebridge.database_faults import is_away
from casebridge.defect import as_case_error, log_defect
from casebridge.errors import CaseError, LeaseLostError, PermanentError
from casebridge.messaging.flow.flow import Flow, StepFailedError, run_steps
from casebridge.messaging.queue.malformed_documents import STEP
from casebridge.messaging.queue.meldingq import MeldingQ
from casebridge.messaging.queue.message import Message
from casebridge.messaging.queue.outcome import FINISHED
from casebridge.messaging.queue.unreadable import unreadable
from casebridge.telemetry import observer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AttemptResult:
    """A message whose steps were run, and the error that stopped them, if any. It is still held and not settled yet.

    `given_back`: the database did not take what the steps had to write. That is not charged, and the step is run again.
    """

    message: Message
    flow: Flow | None
    error: CaseError | None = None
    step: str = FINISHED
    given_back: bool = False


class Worker:
    """Has no state of its own. Any number of threads may share one."""

    def __init__(self, queue: MeldingQ, flows: Mapping[str, Flow], clock: Clock, maximum_attempts: int) -> None:
        self._queue = queue
        self._flows = flows
        self._clock = clock
        self._maximum_attempts = maximum_attempts

    def prefetch(self, messages: Iterable[Message]) -> None:
        """Prefetch for claimed messages, for each queue at once. Never raises: the steps can read for themselves."""
        by_queue: dict[str, list[Message]] = {}
        for message in messages:
            by_queue.setdefault(message.queue, []).append(message)
        for queue, its_messages in by_queue.items():
            try:
                if flow := self._flows.get(queue):
                    flow.prefetch(its_messages)
            except BaseException as error:  # noqa: BLE001 one message's defect must not stop the others
                if is_away(error):
                    logger.warning("the database is away (%s)", type(error).__name__)
                else:
                    log_defect(error)

    def handle(self, message: Message) -> AttemptResult | None:
        """Run the message's steps. Never raises, whatever a step or a library does: a defect counts as a failed attempt.

        Returns `None` if another worker holds the message by now.
        """
        observation = observer().handling(message)
        attempt = self._attempt(message)
        observation.ended(attempt.error.code if attempt and attempt.error else None)
        return attempt

    def _attempt(self, message: Message) -> AttemptResult | None:
        flow = self._flows.get(message.queue)
        try:
            return self._handle(message, flow)
        except LeaseLostError:
            observer().lease_lost(message)
            logger.warning("case %s: another worker has taken over", message.safe_id)
        except BaseException as error:  # noqa: BLE001 no message may end a worker's thread
            if not is_away(error):
                return AttemptResult(message, flow, as_case_error(error), "handle")
            # Results that were stored stay in the message; the next claim continues from there.
            logger.warning("case %s: the database is away (%s)", message.safe_id, type(error).__name__)
            return AttemptResult(message, flow, given_back=True)
        return None

    def _handle(self, message: Message, flow: Flow | None) -> AttemptResult:
        if message.unreadable:
            return AttemptResult(message, flow, unreadable(message.unreadable), STEP)
        if flow is None:
            return AttemptResult(message, None, _no_flow(), "choose_flow")
        if message.not_stored:
            return AttemptResult(message, flow, _not_stored(message.not_stored), "accept")
        if message.isolated:
            self._queue.begin_isolated(message)
        if message.attempts > self._maximum_attempts:
            return AttemptResult(message, flow, _crashed_too_often(self._maximum_attempts), next_step(flow, message))
        try:
            run_steps(flow, message, self._clock, lambda steps: self._queue.record_steps(message, steps))
        except StepFailedError as failed:
            cause = failed.__cause__ or failed
            if isinstance(cause, LeaseLostError) or is_away(cause):
                raise cause from None
            return AttemptResult(message, flow, as_case_error(cause), failed.step)
        return AttemptResult(message, flow)


def next_step(flow: Flow, message: Message) -> str:
    """The first step of the message that is not done; `settle` if all are done."""
    return next((step.name for step in flow.steps if step.name not in message.steps), "settle")


def _crashed_too_often(maximum: int) -> PermanentError:
    return PermanentError(
        "casebridge.worker_lost",
        f"The worker was lost {maximum} times while it handled this message.",
        "Look for crashes of the listener at those times (memory, kills), then replay the message.",
    )


def _not_stored(code: str) -> PermanentError:
    return PermanentError(
        code,
        "What came with this message is more than the database takes, or nothing that it can store: only its place was kept.",
        "Have its sender correct it: that comes as a message of its own. Then discard this one.",
    )


def _no_flow() -> PermanentError:
    return PermanentError(
        "casebridge.queue_unknown",
        "No flow handles the queue of this message.",
        "Run a version of casebridge that knows the queue (it stands in the message), then replay the message.",
    )
