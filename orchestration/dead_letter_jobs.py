"""The jobs for dead letters: list, show, replay and discard. They do the same as `casebridge dead`.

This module has the configuration and the metadata. What a request means, and which next step is shown, is decided in
`operators.dead_letter_requests`. An action is a dry run by default. For real it needs a reason and a name. The metadata has no
personal data.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

import dagster as dg
from pydantic import Field

from assets.poll_metadata import ROWS, Metadata
from casebridge.operators.dead_letter import DeadLetterFilter, LetterStory, RequestError
from casebridge.operators.dead_letter_requests import (
    ERROR_COLUMNS,
    HELP,
    NO_LETTERS,
    STEP_COLUMNS,
    Form,
    LetterRequest,
    Row,
    error_rows,
    next_step,
    origin_text,
    step_rows,
)
from casebridge.operators.dead_letters import ActionReport, Order, Progress
from orchestration.job_tags import job_tags
from resources.config_numbers import AtLeastOne
from resources.wiring.process_resource import ProcessResource

FORM: Final = Form(
    for_real="Launch again with `dry_run: false`, `reason` and `asked_by`",
    limit="`limit`",
    bring_back="`replay_dead_letters` with status DISCARDED",
)


class Choosable(Enum):
    """The statuses that can be listed and replayed. Messages in all other statuses continue by themselves or are done."""

    DEAD = "dead"
    FAILED = "failed"
    DISCARDED = "discarded"


class LetterConfig(dg.Config):
    """Which messages. An empty filter means any."""

    institution: str | None = Field(default=None, description=HELP["institution"])
    queue: str | None = Field(default=None, description=HELP["queue"])
    code: str | None = Field(default=None, description=HELP["code"])
    correlation_id: str | None = Field(default=None, description=HELP["correlation_id"])
    since: str | None = Field(default=None, description=HELP["since"])
    before: str | None = Field(default=None, description=HELP["before"])

    def filter(self, now: datetime, status: Choosable = Choosable.DEAD) -> DeadLetterFilter:
        """The filter that these values mean. Raises `RequestError` if a value cannot be read."""
        names = (self.institution, self.queue, self.code, self.correlation_id, self.since, self.before)
        return LetterRequest(status.value, *names).filter(now)


class ActionConfig(LetterConfig):
    """Which messages, and whether for real."""

    dry_run: bool = Field(default=True, description="Only show what would be done.")
    limit: AtLeastOne = Field(default=100, description=HELP["limit"])
    reason: str = Field(default="", description=HELP["reason"])
    asked_by: str = Field(
        default="", description=f"{HELP['asked_by']} Needed unless it is a dry run: Dagster knows no users."
    )

    def order(self) -> Order:
        """The order that these values mean. Raises `RequestError` if a reason or a name is missing."""
        return Order(self.limit, self.dry_run, self.reason, self.asked_by)


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
def list_letters(config: ListConfig, process: ProcessResource) -> dg.Output[None]:
    """The oldest of the chosen messages, and the number of messages for each code."""
    wired = process.get()
    with _request_errors():
        wanted = config.filter(wired.stores.clock.now(), config.status)
        listing = wired.operators.dead_letters.find(wanted, min(config.limit, ROWS))
    rows = [
        {
            "case": row.correlation_id,
            "institution": row.institution,
            "queue": row.queue,
            "came_by": row.came_by,
            "step": row.step,
            "code": row.code,
            "failed_at": _cell(row.failed_at),
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
def show_letter(config: ShowConfig, process: ProcessResource) -> dg.Output[None]:
    """The status of the case's messages, the steps that are done, every error, and who replayed them."""
    found = process.get().operators.dead_letters.show(config.correlation_id, config.queue)
    stories = found.stories
    if not stories and not found.left_out:
        raise dg.Failure(NO_LETTERS, allow_retries=False)
    metadata: Metadata = {"note": dg.MetadataValue.text(found.note)} if found.note else {}
    for number, story in enumerate(stories[:ROWS], 1):
        metadata |= _story(story, "" if len(stories) == 1 else f"{number}_")
    return dg.Output(None, metadata=metadata)


@dg.op(out=dg.Out(dg.Nothing))
def replay(context: dg.OpExecutionContext, config: ReplayConfig, process: ProcessResource) -> dg.Output[None]:
    """Start the chosen messages again, with all their attempts. Steps that are done are not repeated."""
    wired = process.get()
    with _request_errors():
        wanted = config.filter(wired.stores.clock.now(), config.status)
        return _action(wired.operators.dead_letters.replay(wanted, config.order(), _progress_log(context)))


@dg.op(out=dg.Out(dg.Nothing))
def discard(context: dg.OpExecutionContext, config: ActionConfig, process: ProcessResource) -> dg.Output[None]:
    """Declare that the chosen messages were settled without casebridge."""
    wired = process.get()
    with _request_errors():
        wanted = config.filter(wired.stores.clock.now())
        return _action(wired.operators.dead_letters.discard(wanted, config.order(), _progress_log(context)))


@contextmanager
def _request_errors() -> Iterator[None]:
    """Fail the run with the sentence of a `RequestError`, instead of finding nothing."""
    try:
        yield
    except RequestError as error:
        option = f" (`{error.option}`)" if error.option else ""
        raise dg.Failure(f"{error}{option}.", allow_retries=False) from None


def _progress_log(context: dg.OpExecutionContext) -> Progress:
    return lambda done, of: context.log.info("%s of %s messages", done, of)


def _action(report: ActionReport) -> dg.Output[None]:
    metadata: Metadata = {
        "found": dg.MetadataValue.int(report.found),
        "chosen": dg.MetadataValue.int(report.chosen),
        report.action: dg.MetadataValue.int(report.changed),
        "dry_run": dg.MetadataValue.bool(report.dry_run),
        **_table("by_code", _counts(report.by_code)),
        "correlation_ids": dg.MetadataValue.text(", ".join(report.correlation_ids) or "none"),
        "next": dg.MetadataValue.md(next_step(report, FORM)),
    }
    return dg.Output(None, metadata=metadata)


def _story(story: LetterStory, prefix: str) -> Metadata:
    letter = story.letter
    instructions = [
        {"at": _cell(one.at), "what": done, "by": one.by, "reason": one.reason} for done, one in story.instructions
    ]
    values: Metadata = {
        "message": dg.MetadataValue.text(f"{letter.queue} of {letter.institution}: {letter.status} at {letter.step}"),
        "came_by": dg.MetadataValue.text(f"{letter.came_by} {origin_text(story)}".strip()),
        "came_at": dg.MetadataValue.text(str(_cell(letter.enqueued_at))),
        "attempts": dg.MetadataValue.int(letter.attempts),
        "replays": dg.MetadataValue.int(letter.replays),
        "next_action": dg.MetadataValue.text(letter.next_action),
        **_table("steps_done", _records(STEP_COLUMNS, step_rows(story))),
        **_table("errors", _records(ERROR_COLUMNS, error_rows(story))),
        **_table("instructions", instructions),
    }
    return {f"{prefix}{name}": value for name, value in values.items()}


def _records(columns: Sequence[str], rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [dict(zip(columns, map(_cell, row), strict=True)) for row in rows]


def _counts(by_code: dict[str, int]) -> list[dict[str, Any]]:
    return [{"code": code, "messages": messages} for code, messages in by_code.items()]


def _table(name: str, rows: Sequence[dict[str, Any]]) -> Metadata:
    """A table with this name. Empty without rows, because Dagster cannot show a table without rows."""
    return {name: dg.MetadataValue.table([dg.TableRecord(row) for row in rows[:ROWS]])} if rows else {}


def _cell(value: datetime | str | int | None) -> str | int:
    """A value that Dagster can show in a table."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "" if value is None else value


READING_TAGS: Final = job_tags(max_runtime=timedelta(minutes=10), priority=10)
ACTION_TAGS: Final = job_tags(max_runtime=timedelta(minutes=60), priority=10)


@dg.job(description="What waits for a person: the oldest messages, and how many of which code.", tags=READING_TAGS)
def list_dead_letters() -> None:
    list_letters()


@dg.job(
    description="Everything about one case's dead, failed or discarded messages, without personal data.",
    tags=READING_TAGS,
)
def show_dead_letter() -> None:
    show_letter()


@dg.job(
    description="Begin dead, failed or discarded messages again. A dry run comes first and counts them by code.",
    tags=ACTION_TAGS,
)
def replay_dead_letters() -> None:
    replay()


@dg.job(
    description="Declare dead messages settled without us. A dry run first. Nothing is deleted; 30 days to bring them back.",
    tags=ACTION_TAGS,
)
def discard_dead_letters() -> None:
    discard()


DEAD_LETTER_JOBS: Final = (list_dead_letters, show_dead_letter, replay_dead_letters, discard_dead_letters)
