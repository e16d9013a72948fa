"""The command `casebridge`: assembles the commands; each is in the file of its name."""

import sys

import click
import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pymongo.errors import PyMongoError
from typer.core import TyperGroup

from command_line.consume import consume
from command_line.dead import dead
from command_line.demo.command import demo
from command_line.listen import listen
from command_line.output import ExitCode, notes, styled
from command_line.prepare import prepare
from command_line.prune import prune
from command_line.simulate import simulate
from command_line.status import status
from command_line.sync import sync
from command_line.where import where


class _Commands(TyperGroup):
    """Refuses what is no text before any command sees it: the database and the terminal can hold neither."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if any(not _is_text(argument) for argument in args):
            raise typer.BadParameter("an argument holds bytes that are no UTF-8")
        return super().parse_args(ctx, args)


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


application = typer.Typer(
    cls=_Commands,
    name="casebridge",
    help="Carries cases between FS and the exam systems: nothing lost, nothing twice, nothing public by mistake.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (demo, listen, consume, sync, status, where, prune, prepare, simulate):
    application.command()(command)
application.add_typer(dead)


def main() -> None:
    """Run a command; turn what an operator can mend into one sentence and an exit code."""
    try:
        application()
    except ValidationError as error:
        told = "; ".join(sorted({_told(problem) for problem in error.errors()}))
        notes.print(
            styled("[red]These settings cannot be used:[/] {told}. See docs/settings.md.", told=told), soft_wrap=True
        )
        sys.exit(ExitCode.MISUSED)
    except PyMongoError as error:
        notes.print(
            styled(
                "[red]The database cannot be reached[/] ({kind}). "
                "Check CASEBRIDGE_MONGODB__URI and that the server answers; nothing was lost.",
                kind=type(error).__name__,
            )
        )
        sys.exit(ExitCode.UNREACHABLE)


def _told(problem: ErrorDetails) -> str:
    """The setting's name; or our own sentence, where settings do not go together. Never a value that was refused."""
    if problem["type"] == "value_error":
        return problem["msg"].removeprefix("Value error, ")
    return ".".join(map(str, problem["loc"]))
