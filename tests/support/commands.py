"""The commands of `casebridge` by name: documents and manifests may name only these."""

from typing import cast

import click
import typer

from command_line.main import application


def all_commands() -> dict[str, click.Command]:
    """Each command and each group of commands, as `casebridge --help` lists them."""
    root = cast("click.Group", typer.main.get_command(application))
    context = click.Context(root)
    return {name: command for name in root.list_commands(context) if (command := root.get_command(context, name))}
