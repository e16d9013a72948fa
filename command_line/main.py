"""The command `casebridge`: assembles the commands; each is in the file of its name."""

import sys

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pymongo.errors import PyMongoError

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

application = typer.Typer(
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
