"""`casebridge replay`: run it again."""

import getpass
from typing import Annotated

import typer

from casebridge.messaging.message import MessageStatus
from casebridge.operators.replay import ReplayFilter
from command_line.output import ExitCode, print_json, results, table
from command_line.process import bridge_of_this_process


def replay(
    reason: Annotated[str, typer.Option(help="Why; kept in the audit.")] = "",
    status: Annotated[
        str, typer.Option(help="`dead`, or `failed` to try now what waits for its next attempt.")
    ] = "dead",
    institution: Annotated[str | None, typer.Option(help="Only this one, as in uis.no/prod.")] = None,
    queue: Annotated[str | None, typer.Option(help="Only this queue.")] = None,
    code: Annotated[str | None, typer.Option(help="Only messages whose last error has this code.")] = None,
    case: Annotated[str | None, typer.Option(help="Only this correlation id.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, oldest first.")] = 100,
    for_real: Annotated[
        bool, typer.Option("--for-real", help="Without this, only show what would be replayed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Begin dead or failed messages anew; what was done is not done again. A dry run unless --for-real."""
    if status not in (MessageStatus.DEAD, MessageStatus.FAILED):
        raise typer.BadParameter("only dead or failed messages can be replayed", param_hint="--status")
    if for_real and not reason:
        raise typer.BadParameter("say why: the audit keeps it", param_hint="--reason")
    wanted = ReplayFilter(MessageStatus(status), institution, queue, code, case)
    with bridge_of_this_process() as bridge:
        report = bridge.replayer.replay(
            wanted, dry_run=not for_real, limit=limit, reason=reason, asked_by=getpass.getuser()
        )
    if as_json:
        print_json(report.plain())
    else:
        results.print(
            table("Would be replayed" if report.dry_run else "Replayed", ("code", "messages"), report.by_code.items())
        )
        results.print(
            f"{report.found} found, {report.replayed} replayed."
            + (" Dry run: add --for-real." if report.dry_run else "")
        )
    if not report.found:
        raise typer.Exit(ExitCode.NOT_FOUND)
