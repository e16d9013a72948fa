"""The parts that `casebridge dead` and Dagster's jobs on dead letters share: requests as typed, and the sentences of answers.

Each front end has its own form: the command has options and tables, Dagster has configuration and metadata. This module decides
what a request means, what is wrong with it, and what to do next.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import CHOOSABLE, DeadLetter, DeadLetterFilter, LetterStory, RequestError
from casebridge.operators.dead_letters import REPLAYED, ActionReport
from casebridge.operators.moment import moment

HELP: Final = {
    "institution": "Only this one, as in uis.no/prod.",
    "queue": "Only this queue.",
    "code": "Only messages whose last error has this code.",
    "correlation_id": "Only this correlation id.",
    "since": "Only what failed at or after this: 36h, 7d, 2026-01-08T09:00 (UTC).",
    "before": "Only what failed before this; written as `since`.",
    "limit": "At most so many, oldest first.",
    "reason": "Why; kept in the audit. Needed unless it is a dry run. No personal data.",
    "asked_by": "Who asks; kept in the audit.",
}
"""The help texts for the options of both front ends."""
NO_LETTERS: Final = (
    "The case has no dead, failed or discarded message. Its whole history: `casebridge where CORRELATION_ID`."
)
STEP_COLUMNS: Final = ("at", "step", "ms")
ERROR_COLUMNS: Final = ("at", "attempt", "step", "class", "code", "cause")
Row = tuple[datetime | str | int | None, ...]


@dataclass(frozen=True)
class LetterRequest:
    """A selection of letters as an operator typed it. `None` or an empty text means any."""

    status: str = MessageStatus.DEAD.value
    institution: str | None = None
    queue: str | None = None
    code: str | None = None
    correlation_id: str | None = None
    since: str | None = None
    before: str | None = None

    def filter(self, now: datetime) -> DeadLetterFilter:
        """The filter that the request means. Raises `RequestError` if a time, the status or the range cannot be used."""
        try:
            since, before = (moment(text, now) if text else None for text in (self.since, self.before))
        except ValueError as error:
            raise RequestError(str(error)) from None
        try:
            status = MessageStatus(self.status)
        except ValueError:
            raise RequestError(f"no such status: there are {', '.join(CHOOSABLE)}", "status") from None
        return DeadLetterFilter(
            status, self.institution, self.queue, self.code, self.correlation_id, since=since, before=before
        )


@dataclass(frozen=True)
class Form:
    """The names of a front end's options in sentences."""

    for_real: str
    """The option that turns a dry run into an action."""
    limit: str
    bring_back: str
    """The option or command that replays discarded messages."""


def summary(report: ActionReport) -> str:
    """How many letters were found, and how many were changed or would be."""
    done = f"{report.chosen} would be" if report.dry_run else f"{report.changed}"
    return f"{report.found} found, {done} {report.action}."


def next_step(report: ActionReport, form: Form) -> str:
    """A sentence about what happens next, or what the operator does next."""
    if report.dry_run:
        step = f"Nothing was changed. {form.for_real}: {report.chosen} messages will be {report.action}."
    elif report.action == REPLAYED:
        step = "A listener takes them at once; without one `backlog_sensor` starts a batch within a minute."
    else:
        step = f"For 30 days {form.bring_back} brings back what was discarded by mistake."
    left = report.found - report.chosen
    return f"{step} {left} more are beyond {form.limit}: the oldest come first." if left else step


def commands_for(letter: DeadLetter) -> str:
    """The commands that act on this letter."""
    case = f"--case {letter.correlation_id}"
    if letter.status == MessageStatus.DEAD:
        return f"casebridge dead replay {case}, or casebridge dead discard {case}"
    return f"casebridge dead replay --status {letter.status} {case}"


def origin_text(story: LetterStory) -> str:
    """The place of the message's record in Kafka; empty if it did not come by Kafka."""
    return ", ".join(f"{name} {value}" for name, value in story.origin.items())


def step_rows(story: LetterStory) -> list[Row]:
    """The finished steps, with the columns `STEP_COLUMNS`."""
    return [(step.at, step.name, step.milliseconds) for step in story.steps_done]


def error_rows(story: LetterStory) -> list[Row]:
    """The failed attempts, with the columns `ERROR_COLUMNS`."""
    return [(error.at, error.attempt, error.step, error.category, error.code, error.cause) for error in story.errors]
