"""The command `casebridge` with all its commands. Each command is in a module with its name."""

import importlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pymongo.errors import PyMongoError
from typer.core import TyperGroup

from casebridge.storage.version import StorageError
from command_line.output import ExitCode, notes, styled
from resources.wiring.capabilities import UnknownCapabilityError

if TYPE_CHECKING:  # Typer has a click of its own, and no public name for it
    from typer._click import Command, Context

PRODUCTION: Final = {
    name: f"command_line.{name}"
    for name in ("listen", "consume", "sync", "status", "where", "prune", "prepare", "migrate", "dead")
}
DEVELOPMENT: Final = {"demo": "demo.command", "simulate": "demo.simulate"}
"""These import simulators and local servers, which need the development packages."""
ORDER: Final = ("demo", *PRODUCTION, "simulate")


class _Commands(TyperGroup):
    """The commands, each imported when it is called. Refuses arguments that are no valid text, before a command sees them.

    Neither the database nor the terminal can take such an argument.
    """

    def list_commands(self, _ctx: "Context") -> list[str]:
        return list(ORDER)

    def get_command(self, _ctx: "Context", cmd_name: str) -> "Command | None":
        """Import the command and return it. So a listener imports no simulators."""
        module = {**PRODUCTION, **DEVELOPMENT}.get(cmd_name)
        if module is None:
            return None
        try:
            found = getattr(importlib.import_module(module), cmd_name)
        except ModuleNotFoundError as error:
            if cmd_name not in DEVELOPMENT:
                raise
            found = _needs_development_packages(error.name)
        command = typer.main.get_command(found if isinstance(found, typer.Typer) else _alone(found))
        command.name = cmd_name
        return command

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        if any(not _is_text(argument) for argument in args):
            raise typer.BadParameter("an argument holds bytes that are no UTF-8")
        return super().parse_args(ctx, args)


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _alone(function: Callable[..., None]) -> typer.Typer:
    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    application.command()(function)
    return application


def _needs_development_packages(missing: str | None) -> Callable[..., None]:
    def refuse() -> None:
        """Needs the development packages."""
        raise typer.BadParameter(
            f"this command needs the development packages ({missing} is missing). Run `make demo` in a checkout."
        )

    return refuse


application = typer.Typer(
    cls=_Commands,
    name="casebridge",
    help="Carries cases between FS and the exam systems: nothing lost, nothing twice, nothing public by mistake.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@application.callback()
def _root() -> None:
    """Does nothing: `_Commands` finds the commands."""


def main() -> None:
    """Run a command. An error that an operator can correct is shown as one sentence, with an exit code."""
    try:
        application()
    except ValidationError as error:
        problems = "; ".join(sorted({_problem_text(problem) for problem in error.errors()}))
        notes.print(
            styled("[red]These settings cannot be used:[/] {problems}. See docs/settings.md.", problems=problems),
            soft_wrap=True,
        )
        sys.exit(ExitCode.MISUSED)
    except (StorageError, UnknownCapabilityError) as error:
        notes.print(
            styled(
                "[red]{cause}[/] Next: {action} ({code})",
                cause=error.cause,
                action=error.next_action,
                code=error.code,
            ),
            soft_wrap=True,
        )
        sys.exit(ExitCode.FAILED)
    except PyMongoError as error:
        notes.print(
            styled(
                "[red]The database cannot be reached[/] ({kind}). "
                "Check CASEBRIDGE_MONGODB__URI and that the server answers; nothing was lost.",
                kind=type(error).__name__,
            )
        )
        sys.exit(ExitCode.UNREACHABLE)


def _problem_text(problem: ErrorDetails) -> str:
    """The setting's name, or our own sentence if settings contradict each other. Never a value that was refused."""
    if problem["type"] == "value_error":
        return problem["msg"].removeprefix("Value error, ")
    return ".".join(map(str, problem["loc"]))
