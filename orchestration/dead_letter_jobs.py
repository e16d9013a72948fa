"""The jobs on dead letters: list, show, replay, discard; the same as `casebridge dead`.

An action is a dry run unless said otherwise, and for real it wants a reason and a name. What it came to is the metadata of its
output; none of it is personal.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

import dagster as dg
from pydantic import Field

from assets.poll_metadata import ROWS, Metadata
from casebridge.clock import Clock
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter, LetterStory
from casebridge.operators.dead_letters import ActionReport, Order, Progress, UnknownChoiceError
from casebridge.operators.moment import moment
from orchestration.job_tags import job_tags
from resources.config_numbers import AtLeastOne
from resources.wiring.bridge_resource import BridgeResource


class Choosable(Enum):
    """What can be listed and replayed; everything else goes on by itself or is done."""

    DEAD = "dead"
    FAILED = "failed"
    DISCARDED = "discarded"


class LetterConfig(dg.Config):
    """Which messages. An empty filter means any."""

    institution: str | None = Field(default=None, description="Only this one, as in uis.no/prod.")
    queue: str | None = Field(
        default=None, description="Only this queue, such as wiseflow-begrunnelse or wiseflow-begrunnelse-svar."
    )
    code: str | None = Field(default=None, description="Only messages whose last error has this code.")
    correlation_id: str | None = Field(default=None, description="Only this case.")
    since: str | None = Field(
        default=None, description="Only what failed at or after this: 36h, 7d, 2026-01-08T09:00 (UTC)."
    )
    before: str | None = Field(default=None, description="Only what failed before this; written as `since`.")

    def wanted(self, status: MessageStatus, clock: Clock) -> DeadLetterFilter:
        now = clock.now()
        try:
            since, before = (moment(text, now) if text else None for text in (self.since, self.before))
        except ValueError as error:
            raise dg.Failure(f"{error}.", allow_retries=False) from None
        return self._filter(status, since, before)

    def _filter(self, status: MessageStatus, since: datetime | None, before: datetime | None) -> DeadLetterFilter:
        try:
            return DeadLetterFilter(
                status, self.institution, self.queue, self.code, self.correlation_id, since=since, before=before
            )
        except ValueError as error:
            raise dg.Failure(f"{error}.", allow_retries=False) from None


class ActionConfig(LetterConfig):
    """Which messages, and whether for real."""

    dry_run: bool = Field(default=True, description="Only show what would be done.")
    limit: AtLeastOne = Field(default=100, description="At most so many, oldest first.")
    reason: str = Field(
        default="", description="Why; kept in the audit. Needed unless it is a dry run. No personal data."
    )
    asked_by: str = Field(
        default="", description="Who asks; kept in the audit, since Dagster knows no users. Needed likewise."
    )

    def order(self) -> Order:
        try:
            return Order(self.limit, self.dry_run, self.reason, self.asked_by)
        except ValueError:
            raise dg.Failure(
                "Say why and who asks (`reason`, `asked_by`): the audit keeps both.", allow_retries=False
            ) from None


class ListConfig(LetterConfig):
    """What is listed."""

    status: Choosable = Field(
        default=Choosable.DEAD,
        description="DEAD waits for a person; FAILED is tried again later; DISCARDED is settled.",
    )
    limit: AtLeastOne = Field(default=20, description=f"At most so many, oldest first; {ROWS} are shown at most.")


class ShowConfig(dg.Config):
    """Whose messages are shown."""

    correlation_id: str = Field(description="The case.")
    queue: str | None = Field(default=None, description="Only its messages of this queue.")


class ReplayConfig(ActionConfig):
    """What is replayed."""

    status: Choosable = Field(
        default=Choosable.DEAD,
        description="DEAD waits for a person; FAILED is tried now instead of later; DISCARDED (30 days back) is brought back.",
    )


@dg.op(out=dg.Out(dg.Nothing))
def list_letters(config: ListConfig, bridge: BridgeResource) -> dg.Output[None]:
    """The oldest of them, and how many there are of each code."""
    wired = bridge.get()
    wanted = config.wanted(MessageStatus(config.status.value), wired.stores.clock)
    with _choices_explained():
        listing = wired.operators.dead_letters.find(wanted, min(config.limit, ROWS))
    rows = [
        {
            "case": row.correlation_id,
            "institution": row.institution,
            "queue": row.queue,
            "came_by": row.came_by,
            "step": row.step,
            "code": row.code,
            "failed_at": _time(row.failed_at),
            "attempts": row.attempts,
            "replays": row.replays,
            "next_action": row.next_action,
        }
        for row in listing.letters
    ]
    return dg.Output(
        None,
        metadata={
            "found": dg.MetadataValue.int(listing.found),
            "shown": dg.MetadataValue.int(len(rows)),
            **_table("by_code", _counts(listing.by_code)),
            **_table("letters", rows),
        },
    )


@dg.op(out=dg.Out(dg.Nothing))
def show_letter(config: ShowConfig, bridge: BridgeResource) -> dg.Output[None]:
    """Where the case's messages stand, what was done, every error, and who replayed them."""
    found = bridge.get().operators.dead_letters.show(config.correlation_id, config.queue)
    stories = found.stories
    if not stories and not found.left_out:
        raise dg.Failure(
            "The case has no dead, failed or discarded message. Its whole road: `casebridge where CORRELATION_ID`.",
            allow_retries=False,
        )
    metadata: Metadata = {"note": dg.MetadataValue.text(found.note)} if found.note else {}
    for number, story in enumerate(stories[:ROWS], 1):
        metadata |= _story(story, "" if len(stories) == 1 else f"{number}_")
    return dg.Output(None, metadata=metadata)


@dg.op(out=dg.Out(dg.Nothing))
def replay(context: dg.OpExecutionContext, config: ReplayConfig, bridge: BridgeResource) -> dg.Output[None]:
    """Begin the chosen messages anew, with all their attempts; the steps that are done are not done again."""
    wired = bridge.get()
    wanted = config.wanted(MessageStatus(config.status.value), wired.stores.clock)
    with _choices_explained():
        report = wired.operators.dead_letters.replay(wanted, config.order(), _told_to(context))
    return dg.Output(
        None,
        metadata=_action(
            report, "A listener takes them at once; without one `backlog_sensor` starts a batch within a minute."
        ),
    )


@dg.op(out=dg.Out(dg.Nothing))
def discard(context: dg.OpExecutionContext, config: ActionConfig, bridge: BridgeResource) -> dg.Output[None]:
    """Declare the chosen messages settled without us."""
    wired = bridge.get()
    wanted = config.wanted(MessageStatus.DEAD, wired.stores.clock)
    with _choices_explained():
        report = wired.operators.dead_letters.discard(wanted, config.order(), _told_to(context))
    return dg.Output(
        None,
        metadata=_action(
            report, "For 30 days `replay_dead_letters` with status DISCARDED brings back what was discarded by mistake."
        ),
    )


@contextmanager
def _choices_explained() -> Iterator[None]:
    """What is chosen by and is nowhere was mistyped: the run fails and says so, instead of finding nothing."""
    try:
        yield
    except UnknownChoiceError as error:
        raise dg.Failure(f"{error}.", allow_retries=False) from None


def _told_to(context: dg.OpExecutionContext) -> Progress:
    return lambda done, of: context.log.info("%s of %s messages", done, of)


def _action(report: ActionReport, then: str) -> Metadata:
    next_step = (
        f"Nothing was changed. Launch again with `dry_run: false`, `reason` and `asked_by`: {report.chosen} messages will be "
        f"{report.action}."
        if report.dry_run
        else then
    )
    if report.found > report.chosen:
        next_step += f" {report.found - report.chosen} more are beyond `limit`."
    return {
        "found": dg.MetadataValue.int(report.found),
        "chosen": dg.MetadataValue.int(report.chosen),
        report.action: dg.MetadataValue.int(report.changed),
        "dry_run": dg.MetadataValue.bool(report.dry_run),
        **_table("by_code", _counts(report.by_code)),
        "correlation_ids": dg.MetadataValue.text(", ".join(report.correlation_ids) or "none"),
        "next": dg.MetadataValue.md(next_step),
    }


def _story(story: LetterStory, prefix: str) -> Metadata:
    letter = story.letter
    words = [("replayed", word) for word in story.replayed]
    words += [("discarded", story.discarded)] if story.discarded else []
    origin = ", ".join(f"{name} {value}" for name, value in story.origin.items())
    values: Metadata = {
        "message": dg.MetadataValue.text(f"{letter.queue} of {letter.institution}: {letter.status} at {letter.step}"),
        "came_by": dg.MetadataValue.text(f"{letter.came_by} {origin}".strip()),
        "came_at": dg.MetadataValue.text(_time(letter.enqueued_at)),
        "attempts": dg.MetadataValue.int(letter.attempts),
        "replays": dg.MetadataValue.int(letter.replays),
        "next_action": dg.MetadataValue.text(letter.next_action),
        **_table(
            "steps_done",
            [{"at": _time(step.at), "step": step.name, "ms": step.milliseconds} for step in story.steps_done],
        ),
        **_table(
            "errors",
            [
                {
                    "at": _time(error.at),
                    "attempt": error.attempt or 0,
                    "step": error.step,
                    "class": error.category,
                    "code": error.code,
                    "cause": error.cause,
                }
                for error in story.errors
            ],
        ),
        **_table(
            "instructions",
            [{"at": _time(word.at), "what": what, "by": word.by, "reason": word.reason} for what, word in words],
        ),
    }
    return {f"{prefix}{name}": value for name, value in values.items()}


def _counts(by_code: dict[str, int]) -> list[dict[str, Any]]:
    return [{"code": code, "messages": messages} for code, messages in by_code.items()]


def _table(name: str, rows: Sequence[dict[str, Any]]) -> Metadata:
    """A table, or nothing: Dagster cannot show one without rows."""
    return {name: dg.MetadataValue.table([dg.TableRecord(row) for row in rows[:ROWS]])} if rows else {}


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


LOOKS: Final = job_tags(max_runtime=timedelta(minutes=10), priority=10)
ACTS: Final = job_tags(max_runtime=timedelta(minutes=60), priority=10)


@dg.job(description="What waits for a person: the oldest messages, and how many of which code.", tags=LOOKS)
def list_dead_letters() -> None:
    list_letters()


@dg.job(
    description="Everything about one case's dead, failed or discarded messages, without personal data.", tags=LOOKS
)
def show_dead_letter() -> None:
    show_letter()


@dg.job(
    description="Begin dead, failed or discarded messages anew. A dry run first: it shows how many of which code.",
    tags=ACTS,
)
def replay_dead_letters() -> None:
    replay()


@dg.job(
    description="Declare dead messages settled without us. A dry run first. Nothing is deleted; 30 days to bring them back.",
    tags=ACTS,
)
def discard_dead_letters() -> None:
    discard()


DEAD_LETTER_JOBS: Final = (list_dead_letters, show_dead_letter, replay_dead_letters, discard_dead_letters)
