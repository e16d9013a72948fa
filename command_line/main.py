"""The command `casebridge`: assembles the commands; each is in the file of its name."""

import sys

import typer
from pydantic import ValidationError
from pymongo.errors import PyMongoError

from command_line.dead import dead
from command_line.demo.command import demo
from command_line.listen import listen
from command_line.output import ExitCode, notes
from command_line.prepare import prepare
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
for command in (demo, listen, sync, status, where, prepare, simulate):
    application.command()(command)
application.add_typer(dead)


def main() -> None:
    """Run a command; turn what an operator can mend into one sentence and an exit code."""
    try:
        application()
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, problem["loc"])) for problem in error.errors()}))
        notes.print(f"[red]These settings cannot be used:[/] {fields}. See docs/settings.md.")
        sys.exit(ExitCode.MISUSED)
    except PyMongoError as error:
        notes.print(
            f"[red]The database cannot be reached[/] ({type(error).__name__}). "
            "Check CASEBRIDGE_MONGODB__URI and that the server answers; nothing was lost."
        )
        sys.exit(ExitCode.UNREACHABLE)
