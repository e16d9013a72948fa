"""`casebridge dead`: list, show, replay or discard the messages that wait for a person.

This module has the options and the tables. `operators.dead_letter_requests` decides what a request means and what comes next.
"""

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as ProgressBar

from casebridge.messaging.queue.message import MessageStatus
from casebridge.operators import dead_letter_requests
from casebridge.operators.dead_letter import DeadLetterFilter, LetterStory, RequestError
from casebridge.operators.dead_letter_requests import HELP, Form, LetterRequest
from casebridge.operators.dead_letters import ActionReport, DeadLetters, Order, Progress
from command_line.output import ExitCode, notes, panel, print_json, results, show, styled, table
from command_line.process import this_process

dead = typer.Typer(
    add_completion=False,
    name="dead",
    help="What waits for a person: list and show it, replay it, or discard it.",
    no_args_is_help=True,
)

MOST_LETTERS: Final = 1_000_000_000
FORM: Final = Form(
    for_real="Add --for-real and --reason",
    limit="--limit",
    bring_back="`casebridge dead replay --status discarded`",
)
Status = Annotated[
    str, typer.Option(help="`dead`, `failed` (waits for its next attempt) or `discarded` (in the last 30 days).")
]
Institution = Annotated[str | None, typer.Option(help=HELP["institution"])]
Queue = Annotated[str | None, typer.Option(help=HELP["queue"])]
Code = Annotated[str | None, typer.Option(help=HELP["code"])]
Case = Annotated[str | None, typer.Option(help=HELP["correlation_id"])]
Since = Annotated[str | None, typer.Option(help=HELP["since"])]
Before = Annotated[str | None, typer.Option(help=HELP["before"])]
Limit = Annotated[int, typer.Option(min=1, max=MOST_LETTERS, help=HELP["limit"])]
ForReal = Annotated[bool, typer.Option("--for-real", help="Without this, only show what would be done.")]
Reason = Annotated[str, typer.Option(help=HELP["reason"])]
AskedBy = Annotated[str | None, typer.Option(help=f"{HELP['asked_by']} Else the user of this process.")]
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
    request = LetterRequest(status, institution, queue, code, case, since, before)
    with this_process() as process, _request_errors():
        listing = process.operators.dead_letters.find(request.filter(process.stores.clock.now()), limit)
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
    with this_process() as process:
        found = process.operators.dead_letters.show(case, queue)
    if found.note:
        notes.print(found.note)
    stories = found.stories
    if not stories and not found.left_out:
        notes.print(dead_letter_requests.NO_LETTERS)
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
    """Begin messages again; what was done is not done again. A dry run unless --for-real. Exit code 3: none found."""
    request = LetterRequest(status, institution, queue, code, case, since, before)
    _act(DeadLetters.replay, request, _order(limit, reason, asked_by, for_real=for_real), as_json=as_json)


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
    request = LetterRequest(MessageStatus.DEAD, institution, queue, code, case, since, before)
    _act(DeadLetters.discard, request, _order(limit, reason, asked_by, for_real=for_real), as_json=as_json)


def _order(limit: int, reason: str, asked_by: str | None, *, for_real: bool) -> Order:
    with _request_errors():
        return Order(limit, not for_real, reason, _user() if asked_by is None else asked_by)


def _user() -> str:
    """The name of this process's user. Empty if the user has no name, as in some containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


Action = Callable[[DeadLetters, DeadLetterFilter, Order, Progress], ActionReport]


def _act(action: Action, request: LetterRequest, order: Order, *, as_json: bool) -> None:
    with this_process() as process, _request_errors(), _progress_bar() as progress:
        report = action(process.operators.dead_letters, request.filter(process.stores.clock.now()), order, progress)
    if as_json:
        print_json(report.plain())
    else:
        results.print(table("Found", ("code", "messages"), report.by_code.items()))
        results.print(f"{dead_letter_requests.summary(report)} {dead_letter_requests.next_step(report, FORM)}")
    if not report.found:
        raise typer.Exit(ExitCode.NOT_FOUND)


@contextmanager
def _request_errors() -> Iterator[None]:
    """Turn a `RequestError` into a bad argument of the command."""
    try:
        yield
    except RequestError as error:
        hint = f"--{error.option.replace('_', '-')}" if error.option else None
        raise typer.BadParameter(str(error), param_hint=hint) from None


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    """A progress bar on standard error. It appears with the first batch."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with ProgressBar(*columns, console=notes, transient=True, disable=not notes.is_terminal) as bar:
        task = bar.add_task("messages", total=None, visible=False)
        yield lambda done, of: bar.update(task, completed=done, total=of, visible=True)


def show_story(story: LetterStory) -> None:
    """Show the status of the message, the finished steps, every error, what operators did, and what comes next."""
    letter, origin = story.letter, dead_letter_requests.origin_text(story)
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
    steps, errors = dead_letter_requests.step_rows(story), dead_letter_requests.error_rows(story)
    results.print(table("Done, and not to be done again", _headings(dead_letter_requests.STEP_COLUMNS), steps))
    results.print(table("Errors", _headings(dead_letter_requests.ERROR_COLUMNS), errors))
    for done, instruction in story.instructions:
        results.print(f"{done.capitalize()} {instruction.text}")
    commands = f"Then: {dead_letter_requests.commands_for(letter)}\nThe whole history: casebridge where {letter.correlation_id}"
    results.print(panel("Next", f"{letter.next_action}\n{commands}"))


def _headings(columns: tuple[str, ...]) -> list[str]:
    return ["time (UTC)" if column == "at" else column for column in columns]
