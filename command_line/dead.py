"""`casebridge dead`: what waits for a person. List and show it, replay it, or discard it."""

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as ProgressBar

from casebridge.clock import Clock
from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators.dead_letter import DeadLetter, DeadLetterFilter, LetterStory
from casebridge.operators.dead_letters import ActionReport, Order, Progress, UnknownChoiceError
from casebridge.operators.moment import moment
from command_line.output import ExitCode, notes, panel, print_json, results, show, styled, table
from command_line.process import bridge_of_this_process

dead = typer.Typer(
    add_completion=False,
    name="dead",
    help="What waits for a person: list and show it, replay it, or discard it.",
    no_args_is_help=True,
)

MOST_LETTERS: Final = 1_000_000_000
Status = Annotated[
    str, typer.Option(help="`dead`, `failed` (waits for its next attempt) or `discarded` (in the last 30 days).")
]
Institution = Annotated[str | None, typer.Option(help="Only this one, as in uis.no/prod.")]
Queue = Annotated[str | None, typer.Option(help="Only this queue.")]
Code = Annotated[str | None, typer.Option(help="Only messages whose last error has this code.")]
Case = Annotated[str | None, typer.Option(help="Only this correlation id.")]
Since = Annotated[str | None, typer.Option(help="Only what failed at or after this: 36h, 7d, 2026-01-08T09:00 (UTC).")]
Before = Annotated[str | None, typer.Option(help="Only what failed before this; written as for --since.")]
Limit = Annotated[int, typer.Option(min=1, max=MOST_LETTERS, help="At most so many, oldest first.")]
ForReal = Annotated[bool, typer.Option("--for-real", help="Without this, only show what would be done.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the audit. Needed with --for-real. No personal data.")]
AskedBy = Annotated[str | None, typer.Option(help="Who asks; kept in the audit. Else the user of this process.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON value.")]


@dead.command("list")
def list_letters(
    status: Status = "dead",
    institution: Institution = None,
    queue: Queue = None,
    code: Code = None,
    case: Case = None,
    since: Since = None,
    before: Before = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List the oldest, and count all by code. Exit code 3: there are none."""
    with bridge_of_this_process() as bridge:
        wanted = _wanted(bridge.clock, status, institution, queue, code, case, since, before)
        with _choices_explained():
            listing = bridge.dead_letters.find(wanted, limit)
    if as_json:
        print_json(listing.plain())
    else:
        rows = (
            (
                row.correlation_id,
                f"{row.code}\n{row.step}, {row.institution}\n{show(row.failed_at)} UTC, {row.replays} replays",
            )
            for row in listing.letters
        )
        results.print(table("By code", ("code", "messages"), listing.by_code.items()))
        letters = table(status.capitalize(), ("case", "what failed, where and when"), rows)
        letters.columns[0].no_wrap = True  # an id in two lines cannot be copied
        results.print(letters)
        results.print(f"{len(listing.letters)} of {listing.found} shown. One of them: casebridge dead show CASE")
    if not listing.found:
        raise typer.Exit(ExitCode.NOT_FOUND)


@dead.command("show")
def show_letter(
    case: Annotated[str, typer.Argument(help="Correlation id.", metavar="CORRELATION_ID")],
    queue: Queue = None,
    as_json: AsJson = False,
) -> None:
    """Show everything about a case's dead, failed or discarded messages, without personal data. Exit code 3: it has none."""
    with bridge_of_this_process() as bridge:
        found = bridge.dead_letters.show(case, queue)
    if found.note:
        notes.print(found.note)
    stories = found.stories
    if not stories and not found.left_out:
        notes.print(
            "No dead, failed or discarded message of this case. Its whole road: casebridge where CORRELATION_ID"
        )
        raise typer.Exit(ExitCode.NOT_FOUND)
    if as_json:
        print_json([story.plain() for story in stories])
        return
    for story in stories:
        show_story(story)


@dead.command("replay")
def replay(  # noqa: PLR0913, PLR0917 an argument for each option
    status: Status = "dead",
    institution: Institution = None,
    queue: Queue = None,
    code: Code = None,
    case: Case = None,
    since: Since = None,
    before: Before = None,
    limit: Limit = 100,
    for_real: ForReal = False,
    reason: Reason = "",
    asked_by: AskedBy = None,
    as_json: AsJson = False,
) -> None:
    """Begin messages anew; what was done is not done again. A dry run unless --for-real. Exit code 3: none found."""
    order = _order(limit, reason, asked_by, for_real=for_real)
    with bridge_of_this_process() as bridge:
        wanted = _wanted(bridge.clock, status, institution, queue, code, case, since, before)
        report = _act(bridge.dead_letters.replay, wanted, order)
    _tell(report, as_json=as_json)


@dead.command("discard")
def discard(  # noqa: PLR0913, PLR0917 an argument for each option
    institution: Institution = None,
    queue: Queue = None,
    code: Code = None,
    case: Case = None,
    since: Since = None,
    before: Before = None,
    limit: Limit = 100,
    for_real: ForReal = False,
    reason: Reason = "",
    asked_by: AskedBy = None,
    as_json: AsJson = False,
) -> None:
    """Declare dead messages settled without us. A dry run unless --for-real. Exit code 3: none found.

    Nothing is deleted: `casebridge dead replay --status discarded` brings back what was discarded in the last 30 days. What FS
    changes later comes as a new message in any case.
    """
    order = _order(limit, reason, asked_by, for_real=for_real)
    with bridge_of_this_process() as bridge:
        wanted = _wanted(bridge.clock, MessageStatus.DEAD, institution, queue, code, case, since, before)
        report = _act(bridge.dead_letters.discard, wanted, order)
    _tell(report, as_json=as_json)


def _wanted(
    clock: Clock,
    status: str,
    institution: str | None,
    queue: str | None,
    code: str | None,
    case: str | None,
    since: str | None,
    before: str | None,
) -> DeadLetterFilter:
    try:
        now = clock.now()
        return DeadLetterFilter(
            MessageStatus(status),
            institution,
            queue,
            code,
            case,
            moment(since, now) if since else None,
            moment(before, now) if before else None,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _order(limit: int, reason: str, asked_by: str | None, *, for_real: bool) -> Order:
    if for_real and not reason.strip():
        raise typer.BadParameter("say why: the audit keeps it", param_hint="--reason")
    try:
        return Order(limit, not for_real, reason, getpass.getuser() if asked_by is None else asked_by)
    except (ValueError, OSError, KeyError):
        # A container may have no name for its user.
        raise typer.BadParameter("say who asks: the audit keeps it", param_hint="--asked-by") from None


def _act(
    action: Callable[[DeadLetterFilter, Order, Progress], ActionReport], wanted: DeadLetterFilter, order: Order
) -> ActionReport:
    with _choices_explained(), _progress_bar() as progress:
        return action(wanted, order, progress)


@contextmanager
def _choices_explained() -> Iterator[None]:
    """What is chosen by and is nowhere was mistyped: said at once, as of any bad argument."""
    try:
        yield
    except UnknownChoiceError as error:
        raise typer.BadParameter(str(error)) from None


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    """A bar on standard error, from the first batch on."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with ProgressBar(*columns, console=notes, transient=True, disable=not notes.is_terminal) as bar:
        task = bar.add_task("messages", total=None, visible=False)
        yield lambda done, of: bar.update(task, completed=done, total=of, visible=True)


def _tell(report: ActionReport, *, as_json: bool) -> None:
    if as_json:
        print_json(report.plain())
    else:
        done = f"would be {report.action}" if report.dry_run else report.action
        results.print(table("Found", ("code", "messages"), report.by_code.items()))
        told = f"{report.found} found, {report.chosen if report.dry_run else report.changed} {done}."
        if report.found > report.chosen:
            told += f" The oldest {report.chosen} come first: raise --limit, or do it again."
        results.print(told + (" Dry run: add --for-real and --reason." if report.dry_run else ""))
    if not report.found:
        raise typer.Exit(ExitCode.NOT_FOUND)


def show_story(story: LetterStory) -> None:
    letter = story.letter
    origin = ", ".join(f"{name} {value}" for name, value in story.origin.items())
    results.print(
        styled(
            "[bold]{case}[/] · {institution} · {queue} · [bold]{status}[/] at {step} after {attempts} attempts and {replays} "
            "replays\nCame by {came_by}{origin} on {at} UTC",
            case=letter.correlation_id,
            institution=letter.institution,
            queue=letter.queue,
            status=letter.status,
            step=letter.step,
            attempts=letter.attempts,
            replays=letter.replays,
            came_by=letter.came_by,
            origin=f" ({origin})" if origin else "",
            at=show(letter.enqueued_at),
        )
    )
    done = ((step.at, step.name, step.milliseconds) for step in story.steps_done)
    results.print(table("Done, and not to be done again", ("time (UTC)", "step", "ms"), done))
    errors = ((error.at, error.attempt, error.step, error.category, error.code, error.cause) for error in story.errors)
    results.print(table("Errors", ("time (UTC)", "attempt", "step", "class", "code", "cause"), errors))
    for word in story.replayed:
        results.print(f"Replayed by {word.by} on {show(word.at)} UTC: {word.reason}")
    if story.discarded:
        word = story.discarded
        results.print(f"Discarded by {word.by} on {show(word.at)} UTC: {word.reason}")
    then = f"Then: {_commands(letter)}\nThe whole road: casebridge where {letter.correlation_id}"
    results.print(panel("Next", f"{letter.next_action}\n{then}"))


def _commands(letter: DeadLetter) -> str:
    case = f"--case {letter.correlation_id}"
    if letter.status == MessageStatus.DEAD:
        return f"casebridge dead replay {case}, or casebridge dead discard {case}"
    return f"casebridge dead replay --status {letter.status} {case}"
